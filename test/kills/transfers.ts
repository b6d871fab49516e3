// A backup, a restore, and a move into another database. Given: the database that is copied, and the two that are filled.
import { deepEqual, equal, ok } from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { sql } from 'kysely'
import { openBackup } from '../../src/backup/read-backup.ts'
import { refuseUnfinishedRestore, restoreBackup } from '../../src/backup/restore-backup.ts'
import { type BackupParts, writeBackup } from '../../src/backup/write-backup.ts'
import { migrations } from '../../src/storage/migrations.ts'
import { openStorage, type Storage } from '../../src/storage/open-storage.ts'
import { isPostgresUrl } from '../../src/storage/postgres.ts'
import { copyDatabase } from '../../src/storage/transfer/fill-database.ts'
import { readLayouts, type TableLayout } from '../../src/storage/transfer/layout.ts'
import { sumTable, type TableSum } from '../../src/storage/transfer/table-sum.ts'
import { fillTables } from '../transfer-world.ts'
import { type SavePath, savePaths } from './save-paths.ts'

/** The first ones, which refer to no others: how all are copied is tested elsewhere. */
const tables = 10
const rowsPerTable = 20
/** An empty database with all tables. */
const templateName = 'template.db'
/** Among the data, beside the rows. */
const noteName = 'snapshots/user-1/note.snapshot'

type World = Readonly<{ folder: string; source: Storage; layouts: readonly TableLayout[]; sums: readonly TableSum[] }>

await savePaths(async ({ folder, life, given: [sourceUrl = '', restoredUrl = '', movedUrl = ''] }) => {
  const source = await openStorage({ url: sourceUrl })
  const kept = join(folder, 'world.json')
  if (life === 0) {
    await (await openStorage({ url: join(folder, templateName) })).close()
    const layouts = (await readLayouts()).slice(0, tables)
    await fillTables(source.db, layouts, rowsPerTable)
    await writeFile(kept, JSON.stringify({ layouts, sums: await sumsOf(source, layouts) }))
    await writeInto(join(folder, 'data', noteName), 'fixed')
    await writeInto(join(folder, 'config', 'config.json'), '{}')
    await writeInto(join(folder, 'models', 'adapter.gguf'), 'an adapter')
    await writeBackup(join(folder, 'fixed.tar'), backupParts({ folder, source, layouts }))
  }
  const world: World = { folder, source, ...JSON.parse(await readFile(kept, 'utf8')) }
  return [openBackupPath(world), openRestorePath(world, restoredUrl), openMovePath(world, movedUrl)]
})

async function writeInto(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
}

async function sumsOf({ db }: Storage, layouts: readonly TableLayout[]): Promise<TableSum[]> {
  const sums: TableSum[] = []
  for (const layout of layouts) sums.push(await sumTable(db, layout))
  return sums
}

function backupParts({ folder, source, layouts }: Omit<World, 'sums'>): BackupParts {
  return {
    ...{ storage: source, layouts, migrations: migrations.map(({ id }) => id), version: '1.0.0', now: Date.now },
    folders: {
      ...{ dataDir: join(folder, 'data'), databasePaths: [], modelsDir: join(folder, 'models') },
      ...{ configFiles: [join(folder, 'config', 'config.json')], isKeptModel: async () => true, keepsSecretKey: false },
    },
  }
}

function openBackupPath(world: World): SavePath {
  const file = join(world.folder, 'kept', 'simpleia.tar')
  return {
    name: 'backup',
    async check({ newest }) {
      if (!existsSync(file)) return ok(newest.has(undefined), 'the backup is gone')
      // Reads it whole.
      const backup = await openBackup(file)
      const note = Buffer.concat(await Array.fromAsync(backup.read(`data/${noteName}`))).toString()
      await backup.close()
      ok(newest.has(note), `${note} was backed up instead of ${[...newest]}`)
    },
    async save(name) {
      await writeInto(join(world.folder, 'data', noteName), name)
      await writeBackup(file, backupParts(world))
      deepEqual(await readdir(dirname(file)), ['simpleia.tar'])
    },
  }
}

/** Whether a database holds all rows, or none. Throws where it holds some. */
async function isFilled({ layouts, sums }: World, storage: Storage): Promise<boolean> {
  const found = await sumsOf(storage, layouts)
  if (found.every(({ rows }) => rows === 0)) return false
  deepEqual(found, sums)
  return true
}

/** With all tables, which take most of the time to make. */
async function openTarget({ folder }: Pick<World, 'folder'>, url: string): Promise<Storage> {
  if (!isPostgresUrl(url) && !existsSync(url)) {
    await mkdir(dirname(url), { recursive: true })
    await copyFile(join(folder, templateName), `${url}.part`)
    await rename(`${url}.part`, url)
  }
  return openStorage({ url })
}

async function withTarget<T>(world: World, url: string, work: (storage: Storage) => Promise<T>): Promise<T> {
  const storage = await openTarget(world, url)
  try {
    return await work(storage)
  } finally {
    await storage.close()
  }
}

async function empty(world: World, url: string): Promise<void> {
  if (isPostgresUrl(url)) {
    const tables = sql.join(world.layouts.map(({ name }) => sql.table(name)))
    await withTarget(world, url, ({ db }) => sql`truncate ${tables} restart identity cascade`.execute(db))
  } else for (const end of ['', '-wal', '-shm']) await rm(`${url}${end}`, { force: true })
}

function openRestorePath(world: World, url: string): SavePath {
  const at = (...path: string[]) => join(world.folder, 'restored', ...path)
  const places = {
    ...{ dataDir: at('data'), modelsDir: at('models'), configFiles: [at('config', 'config.json')] },
    databasePaths: isPostgresUrl(url) ? [] : [url],
  }
  const isUnfinished = () =>
    refuseUnfinishedRestore(places.dataDir).then(
      () => false,
      () => true,
    )
  async function checkFiles(): Promise<void> {
    equal(await readFile(at('data', noteName), 'utf8'), 'fixed')
    equal(await readFile(at('config', 'config.json'), 'utf8'), '{}')
    equal(await readFile(at('models', 'adapter.gguf'), 'utf8'), 'an adapter')
  }
  const removeAll = async () => {
    await empty(world, url)
    for (const place of ['models', 'config', 'data']) await rm(at(place), { recursive: true, force: true })
  }

  return {
    name: 'restore',
    async check() {
      if (!isPostgresUrl(url) && !existsSync(url)) return
      const filled = await withTarget(world, url, (storage) => isFilled(world, storage))
      // What the service may start with. What is being removed again has lost its rows first.
      if (filled && !(await isUnfinished())) await checkFiles()
    },
    async save() {
      if (!(await isUnfinished())) await removeAll()
      const backup = await openBackup(join(world.folder, 'fixed.tar'))
      await restoreBackup(backup, { places, layouts: world.layouts, openStorage: () => openTarget(world, url) })
      await backup.close()
      equal(await isUnfinished(), false)
      equal(await withTarget(world, url, (storage) => isFilled(world, storage)), true)
      await checkFiles()
    },
  }
}

function openMovePath(world: World, url: string): SavePath {
  return {
    name: 'move',
    check: async () => void (await withTarget(world, url, (storage) => isFilled(world, storage))),
    async save() {
      await withTarget(world, url, async (target) => {
        if (!(await isFilled(world, target))) await copyDatabase(world.source, target, world.layouts, () => {})
        equal(await isFilled(world, target), true)
      })
      await empty(world, url)
    },
  }
}
