// The service with a scripted model and made vectors, for main.ts: what it takes is what everything but the models takes. Its settings
// come from the environment.
import { createHash } from 'node:crypto'
import { createApp } from '../../src/app.ts'
import { waitForStop } from '../../src/cli/stop-signals.ts'
import { loadConfig } from '../../src/config.ts'
import type { Embedder } from '../../src/engine/embedder.ts'
import { createVectorIndex, spawnVectorIndex } from '../../src/engine/local/vector-process.ts'
import { fakeRerankers } from '../../test/fake-embedder.ts'
import { createFakeEngine } from '../../test/fake-engine.ts'

const dimensions = 384
/** Streams that are open at the same time are answers under way. */
const parallel = 512

/** The same text has the same vector, and no two have to do with each other. */
function vectorOf(text: string): Float32Array {
  const bytes = Buffer.concat(
    Array.from({ length: dimensions / 64 }, (_, part) => createHash('sha512').update(`${part} ${text}`).digest()),
  )
  const raw = Float32Array.from(bytes, (byte) => byte - 127.5)
  const length = Math.hypot(...raw)
  return raw.map((value) => value / length)
}

const embedder: Embedder = {
  name: 'made-vectors',
  encode: async ({ texts }) => ({
    vectors: texts.map(vectorOf),
    tokens: texts.map(({ length }) => Math.ceil(length / 4)),
    truncated: texts.map(() => false),
  }),
  countTokens: async (texts) => texts.map(({ length }) => Math.ceil(length / 4)),
  maxTokens: async () => 512,
  close: async () => {},
}

const config = loadConfig({ environment: process.env })
/** An endless answer comes ten times a second, as a stream that somebody reads; any other at once. */
const answer = (prompt: string) =>
  prompt.includes('endless')
    ? { pieces: ['word '], end: false }
    : { pieces: ['Eight ', 'short ', 'words ', 'and ', 'no ', 'more ', 'than ', 'that.'] }
const app = await createApp(config, {
  embedders: {
    usual: embedder,
    find: async (name) => (name === embedder.name ? embedder : undefined),
    list: async () => [embedder.name],
    close: async () => {},
  },
  rerankers: fakeRerankers,
  openVectorIndex: (readVectors) =>
    createVectorIndex({ spawn: () => spawnVectorIndex((text) => process.stderr.write(text)), readVectors, maxWaiting: 64 }),
  host: createFakeEngine({ answer, parallel, maxQueue: 1000, pauseMs: Number(process.env.BENCH_PAUSE_MS ?? 0) }),
})
const stop = waitForStop({ say: () => '', terminal: { input: process.stdin, output: process.stdout, notes: process.stderr } })
process.stderr.write(`API: ${await app.http.listen({ host: config.host, port: config.port })}\n`)
await stop.requested
await app.close()
