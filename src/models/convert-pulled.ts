import { dirname, join, relative, sep } from 'node:path'
import type { TensorWritten } from '../engine/gguf/gguf-writer.ts'
import { lockOf } from './claim-name.ts'
import { isBert } from './convert/bert-checkpoint.ts'
import type { Conversion } from './convert/convert.ts'
import type { PullEvent } from './download-events.ts'
import { createEventFeed, type EventFeed } from './event-feed.ts'
import { installConverted } from './install-converted.ts'
import { modelEnding } from './model-name.ts'
import { listOnnxModels, onnxFile } from './onnx-models.ts'
import { withLock } from './process-lock.ts'
import type { PullOptions } from './pull.ts'
import { findRecord, findSize, type Origin } from './verified-file.ts'

type Checkpoint = Extract<PullEvent, { type: 'checkpoint-ready' }>

export type ConvertPulledOptions = Pick<PullOptions, 'modelsDir' | 'now' | 'wait'> &
  Readonly<{
    /** Makes a GGUF file, or of a model of the BERT family an ONNX file. */
    convert: (conversion: Conversion, report: (event: TensorWritten) => void, signal: AbortSignal) => Promise<void>
  }>

/**
 * Makes a model of a checkpoint that was pulled; the last event is `model-ready`. One that was made of the same commit is left as it is.
 * Two who want the same, also in two processes, share one conversion. The checkpoint stays. Throws what the conversion throws.
 */
export async function* convertPulled(
  options: ConvertPulledOptions,
  checkpoint: Checkpoint,
  signal: AbortSignal,
): AsyncGenerator<PullEvent, void, undefined> {
  const { modelsDir, now, wait } = options
  const { folder, repository } = checkpoint
  const feed = createEventFeed()
  const isOnnx = await isBert(folder)
  const lock = isOnnx ? `${folder}.lock` : lockOf(modelsDir, `${repository.split('/').at(-1)}${modelEnding}`)
  const onWait = () => feed.push({ type: 'download-wait' })
  const convert = isOnnx ? convertToOnnx : convertToGguf
  const work = withLock({ path: lock, now, wait, onWait }, () => convert(options, checkpoint, feed, signal), signal)
  work.then(
    () => feed.end(),
    (error: unknown) => feed.end(error),
  )
  yield* feed.read()
  const { path, name } = await work
  yield { type: 'model-ready', file: relative(modelsDir, path), name }
}

type Converted = Readonly<{ path: string; name: string }>

/** In the checkpoint's folder, which also has the tokenizer. It is removed whenever the checkpoint changes, so one that is there is right. */
async function convertToOnnx(
  { modelsDir, convert }: ConvertPulledOptions,
  { folder, repository }: Checkpoint,
  feed: EventFeed,
  signal: AbortSignal,
): Promise<Converted> {
  const path = join(folder, onnxFile)
  const report = ({ done, total }: TensorWritten) => feed.push({ type: 'convert-progress', done, total })
  if ((await findSize(path)) === undefined) await convert({ folder, onnxTarget: path, outputType: 'auto' }, report, signal)
  const made = (await listOnnxModels(modelsDir)).find((model) => model.repository === repository)
  return { path, name: made?.name ?? repository }
}

async function convertToGguf(
  { modelsDir, convert }: ConvertPulledOptions,
  { folder, repository }: Checkpoint,
  feed: EventFeed,
  signal: AbortSignal,
): Promise<Converted> {
  const commit = (await findRecord(join(folder, 'config.json')))?.origin?.commit ?? ''
  const origin: Origin = { repository, commit, path: 'model.safetensors' }
  const { target, isDone } = await chooseTarget(modelsDir, origin)
  const name = relative(modelsDir, target).slice(0, -modelEnding.length).replaceAll(sep, '/')
  if (isDone) return { path: target, name }
  const report = ({ done, total }: TensorWritten) => feed.push({ type: 'convert-progress', done, total })
  const convertTo = (file: string) => convert({ folder, target: file, outputType: 'auto' }, report, signal)
  await installConverted({ target, origin, convert: convertTo }, signal)
  return { path: target, name }
}

/** The models folder itself; where another model has the name already, a folder that is called as on the hub. */
async function chooseTarget(modelsDir: string, { repository, commit }: Origin): Promise<{ target: string; isDone: boolean }> {
  const name = `${repository.split('/').at(-1)}${modelEnding}`
  const own = join(modelsDir, dirname(repository), name)
  for (const target of [join(modelsDir, name), own]) {
    if ((await findSize(target)) === undefined) return { target, isDone: false }
    const made = (await findRecord(target))?.origin
    if (made?.repository === repository) return { target, isDone: made.commit === commit }
  }
  return { target: own, isDone: false }
}
