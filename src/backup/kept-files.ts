import type { Dirent } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { basename, join, relative, resolve, sep } from 'node:path'

export type KeptFile = Readonly<{ path: string; name: string }>

export type KeptFolders = Readonly<{
  dataDir: string
  /** Files that are databases themselves: their rows are kept otherwise. */
  databasePaths: readonly string[]
  modelsDir: string
  /** Settings that are files. */
  configFiles: readonly string[]
  /** Whether a file of the models is to be kept. */
  isKeptModel: (path: string) => Promise<boolean>
  /** Tokens are signed with it. */
  keepsSecretKey: boolean
}>

/** In the folder of the data: backups may be kept there, and are in no backup. */
export const backupsFolder = 'backups'
/** What others hold while they work, and what is made again: documents on their way in, and examples that are being scored. */
const passing = ['uploads', 'conversation-uploads', 'dataset-uploads', 'evaluations', 'lost+found', backupsFolder]
/** The same of files that are written beside and renamed. */
const unfinished = /\.(part|part\.json|new|lock|damaged|old)$/
export const secretKeyFile = 'secret-key'
/** Says that a restore has begun and not ended. */
export const markerFile = 'restore-unfinished.json'

/** All files that cannot be made again. Links are not followed: they may lead anywhere. */
export async function* listKeptFiles(folders: KeptFolders): AsyncGenerator<KeptFile> {
  const { dataDir, databasePaths, modelsDir, configFiles, isKeptModel, keepsSecretKey } = folders
  const ofDatabases = new Set(filesOf(databasePaths).map((path) => resolve(path)))
  const config = new Set(configFiles.map((file) => resolve(file)))
  const models = resolve(modelsDir)
  const isOurs = (path: string) => {
    const inData = relative(dataDir, path).split(sep)
    if (passing.includes(inData[0] ?? '') || unfinished.test(path) || inData[0] === markerFile) return false
    if (!keepsSecretKey && inData.join('/') === secretKeyFile) return false
    return !ofDatabases.has(resolve(path)) && !config.has(resolve(path)) && !resolve(path).startsWith(`${models}${sep}`)
  }
  for await (const path of listFiles(dataDir)) if (isOurs(path)) yield named('data', dataDir, path)
  for (const path of configFiles) if ((await typeOf(path)) === 'file') yield { path, name: `config/${basename(path)}` }
  for await (const path of listFiles(modelsDir))
    if (!unfinished.test(path) && !relative(modelsDir, path).split(sep)[0]?.startsWith('.') && (await isKeptModel(path)))
      yield named('models', modelsDir, path)
}

/** The files of SQLite databases. */
export const filesOf = (databasePaths: readonly string[]): readonly string[] =>
  databasePaths.flatMap((path) => ['', '-wal', '-shm', '-journal'].map((end) => `${path}${end}`))

const named = (section: string, folder: string, path: string): KeptFile => ({
  path,
  name: [section, ...relative(folder, path).split(sep)].join('/'),
})

/** In one order, so that the same files give the same backup. */
export async function* listFiles(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown): Dirent[] => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  })
  for (const entry of entries.toSorted((one, other) => (one.name < other.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* listFiles(path)
    else if (entry.isFile()) yield path
  }
}

async function typeOf(path: string): Promise<'file' | 'none'> {
  return lstat(path).then(
    (facts) => (facts.isFile() ? 'file' : 'none'),
    () => 'none',
  )
}
