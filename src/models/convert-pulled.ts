import { dirname, join, relative, sep } from 'node:path'
import type { Conversion } from './convert/convert.ts'
import type { TensorWritten } from './convert/gguf-writer.ts'
import type { PullEvent } from './download-events.ts'
import { createEventFeed, type EventFeed } from './event-feed.ts'
import { modelEnding } from './model-name.ts'
import { withLock } from './process-lock.ts'
import type { PullOptions } from './pull.ts'
import { findRecord, findSize, hashFile, type Origin, saveRecord } from './verified-file.ts'

type Checkpoint = Extract<PullEvent, { type: 'checkpoint-ready' }>

export type ConvertPulledOptions = Pick<PullOptions, 'modelsDir' | 'now' | 'wait'> &
  Readonly<{
    /** Makes the GGUF file, and for an embedding model an ONNX file. */
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
  const feed = createEventFeed()
  const path = join(modelsDir, `${checkpoint.repository.split('/').at(-1)}${modelEnding}.lock`)
  const onWait = () => feed.push({ type: 'download-wait' })
  const work = withLock({ path, now, wait, onWait }, () => convertOnce(options, checkpoint, feed, signal), signal)
  work.then(
    () => feed.end(),
    (error: unknown) => feed.end(error),
  )
  yield* feed.read()
  const file = relative(modelsDir, await work)
  yield { type: 'model-ready', file, name: file.slice(0, -modelEnding.length).replaceAll(sep, '/') }
}

/** Gives the path of the model. */
async function convertOnce(
  { modelsDir, convert }: ConvertPulledOptions,
  { folder, repository }: Checkpoint,
  feed: EventFeed,
  signal: AbortSignal,
): Promise<string> {
  const commit = (await findRecord(join(folder, 'config.json')))?.origin?.commit ?? ''
  const origin: Origin = { repository, commit, path: 'model.safetensors' }
  const { target, isDone } = await chooseTarget(modelsDir, origin)
  if (isDone) return target
  const report = ({ done, total }: TensorWritten) => feed.push({ type: 'convert-progress', done, total })
  await convert({ folder, target, onnxTarget: join(folder, 'model.onnx'), outputType: 'auto' }, report, signal)
  await saveRecord(target, { sha256: await hashFile(target, signal), origin })
  return target
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
