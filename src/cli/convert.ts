import { basename, join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import { runConversion } from '../models/convert/convert-process.ts'
import { installConverted } from '../models/install-converted.ts'
import { isInside, modelEnding } from '../models/model-name.ts'
import { withLock } from '../models/process-lock.ts'
import { findSize } from '../models/verified-file.ts'
import { type Context, configOf } from './context.ts'
import { inLanguage } from './in-language.ts'
import { showSetup } from './show-setup.ts'
import { waitForStop } from './stop-signals.ts'

/** `models convert FOLDER [NAME]`: a checkpoint of safetensors becomes an installed model. */
export async function convertModel(context: Context, { signal } = waitForStop(context)): Promise<number> {
  const [given = '.', ...rest] = context.words
  const { modelsDir } = configOf(context, { serves: false })
  const folder = resolve(given)
  const [name = basename(folder)] = rest
  const show = showSetup(context)
  return inLanguage(context, async () => {
    if (!isInside(name))
      throw new AppError('invalid', `The name must be one that a model may have, but is ${JSON.stringify(name)}.`)
    const target = join(modelsDir, `${name}${modelEnding}`)
    const onnxTarget = join(folder, 'model.onnx')
    const report = ({ done, total }: { done: number; total: number }) => show({ type: 'convert-progress', done, total })
    const lock = {
      path: `${target}.lock`,
      now: Date.now,
      wait: (ms: number) => setTimeout(ms),
      onWait: () => show({ type: 'download-wait' }),
    }
    const convert = (file: string) => runConversion({ folder, target: file, onnxTarget, outputType: 'auto' }, report, signal)
    await withLock(
      lock,
      async () => {
        // Whoever had the lock may have made it.
        if ((await findSize(target)) !== undefined)
          throw new AppError('conflict', `There is a model "${name}" already. Give another name.`)
        await installConverted({ target, origin: undefined, convert }, signal)
      },
      signal,
    )
    show({ type: 'model-ready', file: target, name })
    return 0
  })
}
