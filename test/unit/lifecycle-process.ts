// The service in a process of its own, for lifecycle.test.ts: node lifecycle-process.ts FOLDER GRACE_MS PIECES
import { createApp } from '../../src/app.ts'
import { waitForStop } from '../../src/cli/stop-signals.ts'
import { loadConfig } from '../../src/config.ts'
import { fakeEmbedders, fakeRerankers } from '../fake-embedder.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { createFakeVectorIndex } from '../fake-vector-index.ts'

const [dataDir = '', graceMs = '0', pieces = '0'] = process.argv.slice(2)
const script = pieces === 'endless' ? { pieces: ['word '], end: false } : { pieces: Array(Number(pieces)).fill('word ') }
const config = loadConfig({ environment: { DATA_DIR: dataDir, LOG_LEVEL: 'silent', RATE_LIMIT_REQUESTS: '1000' } })
const app = await createApp(config, {
  embedders: fakeEmbedders,
  rerankers: fakeRerankers,
  openVectorIndex: createFakeVectorIndex,
  host: createFakeEngine({ answer: () => script, pauseMs: 5, parallel: 5 }),
})
const stop = waitForStop({ say: () => '', terminal: { input: process.stdin, output: process.stdout, notes: process.stderr } })
console.log(await app.http.listen({ host: '127.0.0.1', port: 0 }))
await stop.requested
await app.close({ graceMs: Number(graceMs) })
