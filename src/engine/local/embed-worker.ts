import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import type { EmbedBackend } from './embed-backend.ts'
import { createEmbedBatches } from './embed-batches.ts'
import type { EmbedModel, FromEmbedWorker, GgufModelFile, OnnxModelFiles, ToEmbedWorker } from './embed-protocol.ts'

// The entry point of the process of an embedding model or a reranker: one model, in ONNX Runtime or in llama.cpp.

let batches: ReturnType<typeof createEmbedBatches> | undefined

const send = (message: FromEmbedWorker) => void process.send?.(message)

async function load(model: EmbedModel): Promise<void> {
  try {
    const { files } = model
    const backend = files.type === 'onnx' ? await openOnnx(files, model) : await openGguf(files, model)
    batches = createEmbedBatches({ backend, send, pause: () => setImmediate() })
    const prefixTokens = Object.values(model.prefixes).map((prefix) => (prefix === '' ? 0 : backend.countTokens(prefix)))
    send({ type: 'model-ready', maxTokens: backend.maxTokens - Math.max(...prefixTokens) })
  } catch (error) {
    const { code, message } = error instanceof AppError ? error : new AppError('unavailable', String(error))
    send({ type: 'model-failed', code, message })
  }
}

// Each library is loaded only where its models are: it takes time and memory.

async function openOnnx({ folder, pooling, maxTokens }: OnnxModelFiles, { threads }: EmbedModel): Promise<EmbedBackend> {
  const [{ openOnnxEmbedder }, { createTextTokenizer }] = await Promise.all([
    import('./onnx-embedder.ts'),
    import('./text-tokenizer.ts'),
  ])
  const readJson = async (file: string): Promise<unknown> => JSON.parse(await readFile(join(folder, file), 'utf8'))
  const config = await readJson('tokenizer_config.json').catch(() => ({}))
  const tokenizer = createTextTokenizer(await readJson('tokenizer.json'), config, maxTokens)
  return openOnnxEmbedder({ path: join(folder, 'model.onnx'), tokenizer, pooling, threads })
}

async function openGguf({ path }: GgufModelFile, { kind, threads }: EmbedModel): Promise<EmbedBackend> {
  const [{ findLibrary, howToInstall, openLibrary }, { openLlamaEmbedder }] = await Promise.all([
    import('./libllama.ts'),
    import('./llama-embedder.ts'),
  ])
  const folder = findLibrary('cpu')
  if (folder === undefined) throw new AppError('unavailable', howToInstall('cpu'))
  return openLlamaEmbedder(
    openLibrary(folder, () => {}),
    { path, kind, threads },
  )
}

process.on('message', (message: ToEmbedWorker) => {
  switch (message.type) {
    case 'model-load':
      void load(message.model)
      break
    case 'embed-start':
      batches?.start(message)
      break
    case 'rerank-start':
      batches?.rerank(message)
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
