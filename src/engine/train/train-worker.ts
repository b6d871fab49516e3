import { AppError } from '../../errors.ts'
import { createChatTemplateRenderer } from '../chat-template.ts'
import { endWithParent } from '../local/end-with-parent.ts'
import { findLibrary, howToInstall, openLibrary } from '../local/libllama.ts'
import { openLlamaScorer, openVocabulary } from '../local/llama-scorer.ts'
import { workForParent } from '../local/work-for-parent.ts'
import { writeAdapter } from './adapter-file.ts'
import { estimateTrainerMemory } from './estimate-memory.ts'
import { inspectTrainable, openTrainable } from './open-trainable.ts'
import type { FromTrainer, ToTrainer, TrainJob } from './protocol.ts'
import { train } from './train.ts'
import { createMessageControl } from './train-control.ts'
import type { LargestBatch } from './train-data.ts'
import type { Trainable, TrainableOptions } from './trainable.ts'

// The entry point of the child process that trains: one job, then it is ended.

/** What a kill costs at most. */
const checkpointMs = 20_000

const control = createMessageControl()

function openLlama() {
  const folder = findLibrary('cpu')
  if (folder === undefined) throw new AppError('unavailable', `llama.cpp's libraries are not installed. ${howToInstall()}`)
  return openLibrary(folder, (level, text) => void (level === errorLevel && process.stderr.write(text)))
}

/** llama.cpp's level of errors. */
const errorLevel = 4

async function work(job: TrainJob): Promise<void> {
  const renderer = createChatTemplateRenderer()
  const llama = openLlama()
  try {
    await train(job, {
      renderer,
      openVocabulary: (path) => openVocabulary(llama, path),
      openReference: (path, contextSize) => openLlamaScorer(llama, { path, contextSize, threads: job.threads }),
      estimateMemory: estimate,
      openTrainable: async (options) => tellingOfLife(await openTrainable(options)),
      writeAdapter,
      control,
      now: () => performance.now(),
      residentBytes: () => process.memoryUsage.rss(),
      checkpointMs,
      send,
    })
  } finally {
    await renderer.close()
  }
}

async function estimate({ path, rank, modules, drops }: TrainableOptions, largest: LargestBatch): Promise<number> {
  return estimateTrainerMemory(await inspectTrainable(path), { rank, modules, drops, ...largest })
}

/** A step of many pieces is long: each piece tells that there is life. */
function tellingOfLife(trainable: Trainable): Trainable {
  function told<T>(work: Promise<T>): Promise<T> {
    return work.finally(() => send({ type: 'train-alive' }))
  }
  return {
    ...trainable,
    score: (...given) => told(trainable.score(...given)),
    differentiate: (...given) => told(trainable.differentiate(...given)),
  }
}

async function receive(message: ToTrainer): Promise<void> {
  if (message.type === 'train-start') await work(message.job)
  else control.receive(message)
}

endWithParent()
const send = workForParent<ToTrainer, FromTrainer>(receive)
send({ type: 'trainer-ready' })
