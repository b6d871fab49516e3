import { createApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { fakeEmbedders, fakeRerankers } from '../fake-embedder.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { createFakeVectorIndex } from '../fake-vector-index.ts'

// The service in a process of its own that can be killed: its model counts on and on. Its first line is its port.
const host = createFakeEngine({
  answer: (prompt) =>
    prompt.includes('briefly') ? { pieces: ['Briefly.'] } : { pieces: Array.from({ length: 5000 }, (_, at) => `w${at} `) },
  contextSize: 30_000,
  pauseMs: 10,
})
const app = await createApp(loadConfig({ environment: process.env }), {
  host,
  embedders: fakeEmbedders,
  rerankers: fakeRerankers,
  openVectorIndex: createFakeVectorIndex,
})
const url = await app.http.listen({ host: '127.0.0.1', port: 0 })
process.stdout.write(`${new URL(url).port}\n`)
