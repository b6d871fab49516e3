import { readdir, realpath, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, sep } from 'node:path'
import { AppError } from '../errors.ts'
import { type HubName, type ModelName, modelEnding, parseModelName, quoted } from './model-name.ts'
import { listOnnxModels, onnxFile } from './onnx-models.ts'
import { quantizationOf, rankOf, withoutQuantization } from './quantization-name.ts'
import { findRecord, findSize, type Origin, recordOf } from './verified-file.ts'

/** A model file that is installed. */
export type InstalledModel = Readonly<{
  /** Its path in the models folder, with `/`, without `.gguf`; of a checkpoint that was made into ONNX, its repository's name. */
  name: string
  /** Of its first file, where it is split. */
  path: string
  /** Changes when the file does. */
  identity: string
}>

export type ModelDetails = InstalledModel & Readonly<{ files: readonly string[]; sizeBytes: number; origin: Origin | undefined }>

export interface ModelRegistry {
  /** In alphabetical order. A file that is still being downloaded is none, nor is a split model of which a file is missing. */
  list(): Promise<readonly string[]>
  /**
   * The model of a name in any of its forms: installed name or path, hub name (what was pulled from there), Ollama's `name:tag`.
   * Throws `not_found`, or `invalid` when the name leads out of the folder.
   */
  find(name: string): Promise<InstalledModel>
  /** What is known of an installed model, by its installed name only. Throws as `find` does. */
  describe(name: string): Promise<ModelDetails>
}

/** One file of a model that is split: they are loaded with the first. */
const splitPart = /^(.*)-(\d{5})-of-(\d{5})$/s

/** The models in a folder and its subfolders. Names are checked before any file is touched. */
export function createModelRegistry(modelsDir: string): ModelRegistry {
  async function list(): Promise<readonly string[]> {
    // With types, so that links to folders are not followed: they may lead back up, and round and round.
    const entries = await readdir(modelsDir, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
      if (isMissing(error)) return []
      throw new AppError('unavailable', `The models folder ${modelsDir} cannot be read.`, { cause: error })
    })
    const names = entries
      .filter((entry) => entry.name.endsWith(modelEnding) && !entry.isDirectory())
      .map((entry) => relative(modelsDir, join(entry.parentPath, entry.name)))
      .map((file) => file.slice(0, -modelEnding.length).replaceAll(sep, '/'))
      .filter((name) => !name.split('/').some((part) => part.startsWith('.')))
    const known = new Set(names)
    const whole = names.filter((name) => isFirstOfAll(name, known))
    const onnx = (await listOnnxModels(modelsDir)).map(({ name }) => name)
    return [...new Set([...whole, ...onnx])].sort()
  }

  async function find(given: string): Promise<InstalledModel> {
    const name = parseModelName(given)
    const direct = name.path === undefined ? undefined : await open(name.path, given)
    if (direct !== undefined) return direct
    const onnx = await findOnnx(name)
    if (onnx !== undefined) return onnx
    const installed = await list()
    const match = (await findPulled(modelsDir, installed, name.hub)) ?? findTagged(installed, name.tagged)
    const found = match === undefined ? undefined : await open(match, given)
    if (found === undefined) throw new AppError('not_found', notInstalled(name, installed))
    return found
  }

  /** The model that was made of a checkpoint: by its name, or by that of its repository. */
  async function findOnnx({ path, hub }: ModelName): Promise<InstalledModel | undefined> {
    const repository = hub?.file === undefined && hub?.quantization === undefined ? hub?.repository.toLowerCase() : undefined
    const models = await listOnnxModels(modelsDir)
    const found =
      models.find(({ name }) => name === path) ?? models.find((model) => model.repository.toLowerCase() === repository)
    if (found === undefined) return undefined
    const file = join(found.folder, onnxFile)
    const { size, mtimeMs, ino } = await stat(file)
    return { name: found.name, path: file, identity: `${found.repository}:${size}:${mtimeMs}:${ino}` }
  }

  /** The file of a path that has been checked; undefined where there is none. */
  async function open(name: string, given: string): Promise<InstalledModel | undefined> {
    const path = await realpath(join(modelsDir, `${name}${modelEnding}`)).catch((error: unknown) => {
      if (isMissing(error)) return undefined
      throw new AppError('not_found', `The model ${quoted(given)} cannot be read.`, { cause: error })
    })
    if (path === undefined) return undefined
    const way = relative(await realpath(modelsDir), path)
    if (way.startsWith('..') || isAbsolute(way))
      throw new AppError('invalid', `The model ${quoted(given)} is a link that leads out of the models folder.`)
    const found = await stat(path)
    if (!found.isFile()) throw new AppError('not_found', `The model ${quoted(given)} is not a file.`)
    return { name, path, identity: `${way}:${found.size}:${found.mtimeMs}:${found.ino}` }
  }

  async function describe(given: string): Promise<ModelDetails> {
    const name = parseModelName(given)
    const model =
      (name.path === undefined ? undefined : await open(name.path, given)) ?? (await findOnnx({ ...name, hub: undefined }))
    if (model === undefined) throw new AppError('not_found', notInstalled(name, await list()))
    if (model.path.endsWith(onnxFile)) return describeOnnx(model)
    // Not the place that a link leads to: what is removed is the link.
    const files = listParts(model.name).map((part) => join(modelsDir, `${part}${modelEnding}`))
    const sizes = await Promise.all(files.map(async (file) => (await findSize(file)) ?? 0))
    const record = await findRecord(files[0] ?? model.path)
    return { ...model, files, sizeBytes: sizes.reduce((sum, size) => sum + size, 0), origin: record?.origin }
  }

  return { list, find, describe }
}

/** With all files of its checkpoint: without them it cannot be made again, and its tokenizer is one of them. */
async function describeOnnx(model: InstalledModel): Promise<ModelDetails> {
  const folder = dirname(model.path)
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name))
  const records = new Set(paths.map(recordOf))
  const files = [model.path, ...paths.filter((path) => path !== model.path && !records.has(path)).sort()]
  const sizes = await Promise.all(files.map(async (file) => (await findSize(file)) ?? 0))
  const origin = (await findRecord(join(folder, 'config.json')))?.origin
  const from = origin === undefined ? undefined : { ...origin, path: 'model.safetensors' }
  return { ...model, files, sizeBytes: sizes.reduce((sum, size) => sum + size, 0), origin: from }
}

/** The names of all files of a model, the first one first; just its own where it is not split. */
export function listParts(name: string): readonly string[] {
  const [, stem = '', index, count] = splitPart.exec(name) ?? []
  if (index !== '00001' || count === undefined) return [name]
  return Array.from({ length: Number(count) }, (_, part) => `${stem}-${String(part + 1).padStart(5, '0')}-of-${count}`)
}

/** Whether a file belongs to a split model and is not its first. */
export function isLaterPart(name: string): boolean {
  const [, , index] = splitPart.exec(name) ?? []
  return index !== undefined && index !== '00001'
}

function isFirstOfAll(name: string, known: ReadonlySet<string>): boolean {
  const [, , index] = splitPart.exec(name) ?? []
  return (index === undefined || index === '00001') && listParts(name).every((part) => known.has(part))
}

/** What was pulled from a repository: the file that is named, or has the quantization that is named, or the first choice. */
async function findPulled(modelsDir: string, installed: readonly string[], hub: HubName | undefined) {
  if (hub === undefined) return undefined
  const matches: string[] = []
  for (const name of installed) {
    const origin = (await findRecord(join(modelsDir, `${name}${modelEnding}`)))?.origin
    if (origin?.repository.toLowerCase() !== hub.repository.toLowerCase()) continue
    if (hub.file !== undefined && hub.file !== origin.path) continue
    if (hub.quantization !== undefined && !isQuantization(hub.quantization, origin.path)) continue
    matches.push(name)
  }
  return firstChoice(matches)
}

/** `name:tag`: the tag is a quantization, or the end of the name (`qwen3:0.6b`), or `latest` for any. */
function findTagged(installed: readonly string[], tagged: ModelName['tagged']): string | undefined {
  if (tagged === undefined) return undefined
  const [asked, tag] = [tagged.name.toLowerCase(), tagged.tag.toLowerCase()]
  const matches = installed.filter((name) => {
    const whole = name.toLowerCase().replace(/-00001-of-\d{5}$/, '')
    const base = withoutQuantization(whole)
    if (whole === asked || base === asked) return tag === 'latest' || isQuantization(tag, whole)
    return whole === `${asked}-${tag}` || base === `${asked}-${tag}`
  })
  return firstChoice(matches)
}

function firstChoice(names: readonly string[]): string | undefined {
  return [...names].sort((one, other) => rankOf(quantizationOf(one)) - rankOf(quantizationOf(other)))[0]
}

export function isQuantization(asked: string, path: string): boolean {
  return quantizationOf(path) === asked.toUpperCase().replace(/^UD-/, '')
}

function notInstalled({ given, hub }: ModelName, installed: readonly string[]): string {
  const known = installed.length === 0 ? 'None is installed.' : `Installed: ${installed.slice(0, 20).join(', ')}.`
  const pull = hub === undefined ? 'NAME' : given
  const hint = `POST /models/pull {"name": ${JSON.stringify(pull)}} or "./run_llm.sh models pull ${pull}"`
  const how =
    hub === undefined ? `Models of the hub are pulled by owner/repository: ${hint}.` : `If it is on the hub, pull it: ${hint}.`
  return `No model is called ${quoted(given)}. ${known} ${how}`
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
