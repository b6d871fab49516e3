// The service with a scripted model and a toy that is trained, to be killed: node service-process.ts FOLDER DATABASE
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import type { TrainEvent, TrainJob } from '../../src/engine/train/protocol.ts'
import { train } from '../../src/engine/train/train.ts'
import type { StartTrainer } from '../../src/training/trainer.ts'
import { fakeEmbedders, fakeRerankers } from '../fake-embedder.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { createFakeVectorIndex } from '../fake-vector-index.ts'
import { toyParts } from '../toy-training.ts'
import { answerPieces } from './service-texts.ts'

const [folder = '', url = ''] = process.argv.slice(2)

/** As a process would, in this one: it dies with it. */
const startTrainer: StartTrainer = (job, signal) => ({
  pause() {},
  resume() {},
  stop() {},
  events: eventsOf(job, signal),
})

async function* eventsOf(job: TrainJob, signal: AbortSignal): AsyncGenerator<TrainEvent> {
  const events: TrainEvent[] = []
  let more = Promise.withResolvers<void>()
  const parts = toyParts((event) => {
    events.push(event)
    more.resolve()
  })
  const whenRunning = () => wait(10, undefined, { signal })
  const training = train(job, { ...parts, checkpointMs: 20, control: { isStopped: () => false, whenRunning } })
  training.catch(more.reject)
  for (let event: TrainEvent | undefined; event?.type !== 'train-end'; ) {
    if (events.length === 0) await more.promise
    more = Promise.withResolvers()
    training.catch(more.reject)
    more.promise.catch(() => {})
    for (event = events.shift(); event !== undefined; event = events.shift()) {
      yield event
      if (event.type === 'train-end') break
    }
  }
  await training
}

// A process that is killed keeps nothing of what it has compiled: the next one is to begin sooner.
flushCompileCache()

const config = loadConfig({
  environment: {
    ...{ DATA_DIR: join(folder, 'data'), MODELS_DIR: join(folder, 'models'), CONFIG_FILE: join(folder, 'config.json') },
    ...{ DATABASE_URL: url, LOG_LEVEL: 'silent', RATE_LIMIT_REQUESTS: '1000' },
  },
})
const app = await createApp(config, {
  ...{ embedders: fakeEmbedders, rerankers: fakeRerankers, openVectorIndex: createFakeVectorIndex, startTrainer },
  host: createFakeEngine({ answer: () => ({ pieces: answerPieces }), models: ['llama'], pauseMs: 4 }),
})
console.log(await app.http.listen({ host: '127.0.0.1', port: 0 }))
