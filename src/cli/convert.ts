import { basename, join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { toDiskError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { runConversion } from '../models/convert/convert-process.ts'
import { installConverted } from '../models/install-converted.ts'
import { isInside } from '../models/model-name.ts'
import { claimModelFile } from '../models/quantize-files.ts'
import { ensureFolder } from './check-folders.ts'
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
    try {
      ensureFolder(modelsDir)
      await using claimed = await claimModelFile({ modelsDir, now: Date.now, wait: (ms) => setTimeout(ms) }, name, signal)
      const { file: target } = claimed
      const onnxTarget = join(folder, 'model.onnx')
      const report = ({ done, total }: { done: number; total: number }) => show({ type: 'convert-progress', done, total })
      const convert = (file: string) => runConversion({ folder, target: file, onnxTarget, outputType: 'auto' }, report, signal)
      await installConverted({ target, origin: undefined, convert }, signal)
      show({ type: 'model-ready', file: target, name })
    } catch (error) {
      throw toDiskError(error, modelsDir)
    }
    return 0
  })
}
