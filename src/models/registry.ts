import { readdir, realpath, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { AppError } from '../errors.ts'

/** A model file that is installed. */
export type InstalledModel = Readonly<{
  /** Its path in the models folder, with `/`, without `.gguf`. */
  name: string
  path: string
  /** Changes when the file does. */
  identity: string
}>

export interface ModelRegistry {
  /** In alphabetical order. A file that is still being downloaded is none. */
  list(): Promise<readonly string[]>
  /** Throws `not_found`, or `invalid` when the name leads out of the folder. */
  find(name: string): Promise<InstalledModel>
}

const ending = '.gguf'
/** Later files of a model that is split: they are loaded with the first. */
const laterPart = /-(?!00001)\d{5}-of-\d{5}$/

/** The models in a folder and its subfolders. Names are checked before any file is touched. */
export function createModelRegistry(modelsDir: string): ModelRegistry {
  async function list(): Promise<readonly string[]> {
    const files = await readdir(modelsDir, { recursive: true }).catch((error: unknown) => {
      if (isMissing(error)) return []
      throw new AppError('unavailable', `The models folder ${modelsDir} cannot be read.`, { cause: error })
    })
    const names = files.filter((file) => file.endsWith(ending)).map((file) => file.slice(0, -ending.length).replaceAll(sep, '/'))
    return names.filter((name) => !laterPart.test(name)).sort()
  }

  async function find(given: string): Promise<InstalledModel> {
    const name = given.endsWith(ending) ? given.slice(0, -ending.length) : given
    if (!isInside(name))
      throw new AppError('invalid', `A model name must be a path inside the models folder, but is ${quoted(given)}.`)
    const file = join(modelsDir, `${name}${ending}`)
    const path = await realpath(file).catch(async (error: unknown) => {
      throw new AppError('not_found', notInstalled(given, await list()), { cause: error })
    })
    const way = relative(await realpath(modelsDir), path)
    if (way.startsWith('..'))
      throw new AppError('invalid', `The model ${quoted(given)} is a link that leads out of the models folder.`)
    const { size, mtimeMs, ino, isFile } = await stat(path).then((found) => ({ ...found, isFile: found.isFile() }))
    if (!isFile) throw new AppError('not_found', `The model ${quoted(given)} is not a file.`)
    return { name, path, identity: `${way}:${size}:${mtimeMs}:${ino}` }
  }

  return { list, find }
}

/** No absolute path, no `..`, no drive or stream of Windows, no control character: nothing that means more than a name. */
export function isInside(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  if (name === '' || name.length > 255 || /[\\:\u0000-\u001f%*?"<>|]/.test(name)) return false
  return name.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
}

const quoted = (name: string) => JSON.stringify(name.slice(0, 100))

function notInstalled(name: string, installed: readonly string[]): string {
  const known = installed.length === 0 ? 'None is installed.' : `Installed: ${installed.slice(0, 20).join(', ')}.`
  return `No model is called ${quoted(name)}. ${known}`
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
