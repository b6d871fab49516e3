import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import { createBertTokenizer } from './bert-tokenizer.ts'
import { createEmbedBatches } from './embed-batches.ts'
import type { EmbedModel, FromEmbedWorker, ToEmbedWorker } from './embed-protocol.ts'
import { openOnnxEmbedder } from './onnx-embedder.ts'

// The entry point of the process that makes vectors: one model, and the only place where ONNX Runtime is loaded.

let batches: ReturnType<typeof createEmbedBatches> | undefined

const send = (message: FromEmbedWorker) => void process.send?.(message)

async function load({ folder, pooling, maxTokens, threads }: EmbedModel): Promise<void> {
  const readJson = async (file: string): Promise<unknown> => JSON.parse(await readFile(join(folder, file), 'utf8'))
  try {
    const config = await readJson('tokenizer_config.json').catch(() => ({}))
    const tokenizer = createBertTokenizer(await readJson('tokenizer.json'), config, maxTokens)
    const { embedTokens } = await openOnnxEmbedder({ path: join(folder, 'model.onnx'), tokenizer, pooling, threads })
    batches = createEmbedBatches({ tokenizer, embedTokens, send, pause: () => setImmediate() })
    send({ type: 'model-ready' })
  } catch (error) {
    const { code, message } = error instanceof AppError ? error : new AppError('unavailable', String(error))
    send({ type: 'model-failed', code, message })
  }
}

process.on('message', (message: ToEmbedWorker) => {
  switch (message.type) {
    case 'model-load':
      void load(message.model)
      break
    case 'embed-start':
      batches?.start(message)
      break
    case 'tokens-count':
      batches?.count(message)
      break
    case 'embed-cancel':
      batches?.cancel(message.id)
      break
  }
})
// Without its parent it has nobody to work for. The parent decides when it ends: it may be told to stop together with it.
process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
