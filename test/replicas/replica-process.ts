// A replica of the service with a scripted model, for rolling-restart.test.ts; its settings come from the environment.
import { createApp } from '../../src/app.ts'
import { waitForStop } from '../../src/cli/stop-signals.ts'
import { loadConfig } from '../../src/config.ts'
import { fakeEmbedders, fakeRerankers } from '../fake-embedder.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { createFakeVectorIndex } from '../fake-vector-index.ts'

/** Says what the last question is called, in pieces; to an endless one there is no end. */
const answer = (prompt: string) => {
  const name = prompt.match(/Q-[a-z0-9-]+/g)?.at(-1) ?? 'nothing'
  if (name === 'Q-endless') return { pieces: ['word '], end: false }
  return { pieces: ['You asked ', ...name.split(/(?<=-)/), ' and ', 'nothing else.'] }
}

const config = loadConfig({ environment: process.env })
const app = await createApp(config, {
  embedders: fakeEmbedders,
  rerankers: fakeRerankers,
  openVectorIndex: createFakeVectorIndex,
  host: createFakeEngine({ answer, pauseMs: 2, parallel: 32, maxQueue: 1000 }),
})
const stop = waitForStop({ say: () => '', terminal: { input: process.stdin, output: process.stdout, notes: process.stderr } })
console.log(await app.http.listen({ host: config.host, port: config.port }))
await stop.requested
await app.close()
