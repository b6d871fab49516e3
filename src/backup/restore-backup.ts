import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, utimes } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { AppError } from '../errors.ts'
import { makeFolder } from '../storage/make-folder.ts'
import type { Storage } from '../storage/open-storage.ts'
import { toStorageError } from '../storage/storage-error.ts'
import { fillDatabase } from '../storage/transfer/fill-database.ts'
import type { TableLayout } from '../storage/transfer/layout.ts'
import { sumTable } from '../storage/transfer/table-sum.ts'
import { findFilledTable } from '../storage/transfer/write-rows.ts'
import { backupsFolder, filesOf, listFiles, markerFile } from './kept-files.ts'
import { placeOf } from './manifest.ts'
import type { Backup } from './read-backup.ts'

export type RestorePlaces = Readonly<{
  dataDir: string
  modelsDir: string
  /** Where the settings are that are files; a backup names them by the last part. */
  configFiles: readonly string[]
  /** Files that are databases of ours; no other file may take their place. */
  databasePaths: readonly string[]
}>

export type RestoreParts = Readonly<{
  places: RestorePlaces
  /** With the tables that the backup was made of. */
  openStorage: () => Promise<Storage>
  layouts: readonly TableLayout[]
}>

export type Restored = Readonly<{
  rows: number
  files: number
  /** Files that were there with another content; the old one is kept beside, with this ending. */
  keptAside: readonly string[]
}>

export const asideEnding = '.before-restore'

/**
 * Brings back what a backup holds, into an empty place. Its rows come in one transaction. From the first change to the last a note lies
 * in the folder of the data, with which the service refuses to start; restoring the same backup again ends what was begun. Throws
 * `conflict` for a place that is not empty, and what filling a database and opening storage throw.
 */
export async function restoreBackup(backup: Backup, { places, openStorage, layouts }: RestoreParts): Promise<Restored> {
  try {
    return await restoreInto(places, backup, { openStorage, layouts })
  } catch (error) {
    throw toStorageError(error, places.dataDir)
  }
}

async function restoreInto(
  places: RestorePlaces,
  backup: Backup,
  { openStorage, layouts }: Omit<RestoreParts, 'places'>,
): Promise<Restored> {
  const marker = join(places.dataDir, markerFile)
  const identity = identityOf(backup)
  const begun = await findBegun(marker)
  if (begun !== undefined && begun !== identity)
    throw new AppError(
      'conflict',
      `Another restore into ${places.dataDir} was begun and not ended. Empty the folder and the database first.`,
    )
  if (begun === undefined) await refuseFilled(places.dataDir)
  else await removeBegun(places)
  refuseDatabases(backup, places)
  try {
    // One that is there is not touched: were it cut off now, what was begun would not be known any more.
    if (begun === undefined) await writeMarker(marker, identity)
    const rows = await restoreDatabase(backup, await openStorage(), layouts, begun !== undefined)
    const { files, keptAside } = await restoreFiles(backup, places)
    await rm(marker)
    return { rows, files, keptAside }
  } catch (error) {
    // Nothing has been changed: it is the database of somebody who is to keep it.
    if (error instanceof AppError && error.code === 'conflict' && begun === undefined) await rm(marker, { force: true })
    throw error
  }
}

async function restoreDatabase(
  backup: Backup,
  storage: Storage,
  layouts: readonly TableLayout[],
  wasBegun: boolean,
): Promise<number> {
  try {
    if (!wasBegun) await refuseFilledDatabase(storage, layouts)
    return await restoreRows(backup, storage, layouts, wasBegun)
  } finally {
    await storage.close()
  }
}

/** Throws `unavailable` where a restore was begun and has not ended. */
export async function refuseUnfinishedRestore(dataDir: string): Promise<void> {
  if ((await readMarker(join(dataDir, markerFile))) === undefined) return
  throw new AppError(
    'unavailable',
    `A restore into ${dataDir} was begun and has not ended. Run "./run_llm.sh admin restore FILE" again with the same backup, or empty the folder.`,
  )
}

function identityOf({ manifest }: Backup): string {
  return createHash('sha256').update(JSON.stringify(manifest)).digest('hex')
}

/** Whose restore was begun. A note that was not written whole is older than the first change, and goes. */
async function findBegun(marker: string): Promise<string | undefined> {
  const text = await readMarker(marker)
  if (text === undefined || /^[0-9a-f]{64}$/.test(text)) return text
  await rm(marker)
  return undefined
}

async function readMarker(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').then(
    (text) => text.trim(),
    (error: unknown) => {
      if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined
      throw toStorageError(error, path)
    },
  )
}

async function writeMarker(path: string, identity: string): Promise<void> {
  makeFolder(dirname(path), 0o700)
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(`${identity}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function refuseFilled(dataDir: string): Promise<void> {
  for await (const path of listFiles(dataDir)) {
    if (path.startsWith(join(dataDir, backupsFolder))) continue
    throw new AppError(
      'conflict',
      `${dataDir} is not empty: it holds ${basename(path)}. Choose an empty DATA_DIR, or move that one away.`,
    )
  }
}

/** What the restore before this one has written. Rows stay: they came whole, or not at all. */
async function removeBegun({ dataDir, databasePaths }: RestorePlaces): Promise<void> {
  const kept = new Set([join(dataDir, markerFile), ...filesOf(databasePaths)].map((path) => resolve(path)))
  for await (const path of listFiles(dataDir))
    if (!kept.has(resolve(path)) && !path.startsWith(join(dataDir, backupsFolder))) await rm(path, { force: true })
}

function refuseDatabases({ manifest }: Backup, places: RestorePlaces): void {
  const databases = new Set([join(places.dataDir, markerFile), ...filesOf(places.databasePaths)].map((path) => resolve(path)))
  for (const { name } of manifest.files) {
    const target = targetOf(name, places)
    if (target !== undefined && databases.has(resolve(target)))
      throw new AppError('invalid', `This is no backup of simpleIA: it holds ${name}. Nothing was changed.`)
  }
}

async function refuseFilledDatabase({ db }: Storage, layouts: readonly TableLayout[]): Promise<void> {
  const filled = await findFilledTable(db, layouts)
  if (filled !== undefined)
    throw new AppError('conflict', `The database is not empty: its table "${filled}" holds rows. Choose an empty one.`)
}

async function restoreRows(
  backup: Backup,
  storage: Storage,
  layouts: readonly TableLayout[],
  wasBegun: boolean,
): Promise<number> {
  const { tables } = backup.manifest
  const expected = new Map(tables.map((table) => [table.name, table]))
  const sums = tables.reduce((sum, { rows }) => sum + rows, 0)
  // In its turn: what the restore before this one had sent may be on its way into the tables still.
  const filled = await storage.db.transaction().execute((db) => findFilledTable(db, layouts))
  if (wasBegun && filled !== undefined) {
    for (const layout of layouts) {
      const { rows, sha256 } = await sumTable(storage.db, layout)
      const wanted = expected.get(layout.name)
      if (wanted !== undefined && (wanted.rows !== rows || wanted.sha256 !== sha256))
        throw new AppError(
          'conflict',
          `The database holds other rows than the backup, in its table "${layout.name}". Choose an empty one.`,
        )
    }
    return sums
  }
  const source = {
    readRows: ({ name }: TableLayout) => backup.readRows(name),
    readLastNumber: async ({ name }: TableLayout) => expected.get(name)?.last_number ?? '0',
  }
  await fillDatabase(storage, layouts, source, ({ table, rows, sha256 }) => {
    const wanted = expected.get(table)
    if (wanted !== undefined && (wanted.rows !== rows || wanted.sha256 !== sha256))
      throw new AppError('unprocessable', `The rows of the table "${table}" are not those that the backup tells of.`)
  })
  return sums
}

async function restoreFiles(backup: Backup, places: RestorePlaces): Promise<Omit<Restored, 'rows'>> {
  const keptAside: string[] = []
  let files = 0
  for (const { name, sha256, modified_ms } of backup.manifest.files) {
    const target = targetOf(name, places)
    if (target === undefined) continue
    files += 1
    const there = await hashOf(target)
    if (there === sha256) continue
    if (there !== undefined) {
      await rename(target, `${target}${asideEnding}`)
      keptAside.push(`${target}${asideEnding}`)
    }
    await writeFile(target, backup.read(name))
    // What is known of a model holds for its time of change.
    if (modified_ms !== undefined) await utimes(target, modified_ms / 1000, modified_ms / 1000)
  }
  return { files, keptAside }
}

/** Undefined for rows, and for settings that nobody asks for any more. */
function targetOf(name: string, { dataDir, modelsDir, configFiles }: RestorePlaces): string | undefined {
  const { section, path } = placeOf(name)
  switch (section) {
    case 'database':
      return undefined
    case 'data':
      return join(dataDir, path)
    case 'models':
      return join(modelsDir, path)
    case 'config':
      return configFiles.find((file) => basename(file) === path)
  }
}

async function hashOf(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) return undefined
  const hash = createHash('sha256')
  for await (const piece of file.createReadStream()) hash.update(piece)
  return hash.digest('hex')
}

async function writeFile(target: string, pieces: AsyncIterable<Buffer>): Promise<void> {
  await mkdir(dirname(target), { recursive: true })
  const beside = `${target}.part`
  const file = await open(beside, 'w', 0o600)
  try {
    for await (const piece of pieces) await file.writeFile(piece)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(beside, target)
}
