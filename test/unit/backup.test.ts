import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openBackup } from '../../src/backup/read-backup.ts'
import { refuseUnfinishedRestore, restoreBackup } from '../../src/backup/restore-backup.ts'
import { migrationsOf } from '../../src/backup/schema-of-backup.ts'
import { readTar, writeTar } from '../../src/backup/tar-file.ts'
import { type BackupParts, writeBackup } from '../../src/backup/write-backup.ts'
import { migrations } from '../../src/storage/migrations.ts'
import { openStorage, type Storage } from '../../src/storage/open-storage.ts'
import { readLayouts, type TableLayout } from '../../src/storage/transfer/layout.ts'
import { sumTable } from '../../src/storage/transfer/table-sum.ts'
import { closeOpened, openToClose } from '../opened-storages.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { fillTables } from '../transfer-world.ts'

let folder: string
let layouts: readonly TableLayout[]
let source: Storage

/** Where things are that a backup is made of. */
const at = (...path: string[]) => join(folder, ...path)
const backupFile = () => at('kept', 'simpleia.tar')

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simpleia-backup-'))
  layouts = await readLayouts()
  source = await openToClose({ url: await databaseAt(at('data', 'simpleia.db')) })
  await fillTables(source.db, layouts)
  await write('data/secret-key', 'canary-secret')
  await write('data/snapshots/user-1/notes.snapshot', 'a snapshot')
  await write('data/training/run-1/checkpoint-0.bin', 'a checkpoint')
  await write('data/uploads/12/half', 'on its way')
  await write('data/training/run-1/train.jsonl.new', 'half written')
  await write(`data/snapshots/${'long/'.repeat(30)}name-ñ.snapshot`, 'deep')
  await write('config/config.json', '{"selected_model":"small","provider":null}')
  await write('models/adapter.gguf', 'an adapter')
  await write('models/large.gguf', 'a model')
})

afterEach(async () => {
  await closeOpened()
  await rm(folder, { recursive: true })
})

async function write(path: string, content: string): Promise<void> {
  await mkdir(join(at(path), '..'), { recursive: true })
  await writeFile(at(path), content)
}

const configFiles = (root: string) => ['config.json', 'providers.json'].map((name) => at(root, name))

function partsOf(more: Partial<BackupParts['folders']> = {}): BackupParts {
  return {
    storage: source,
    layouts,
    migrations: migrations.map(({ id }) => id),
    folders: {
      dataDir: at('data'),
      databasePaths: [at('data', 'simpleia.db')],
      modelsDir: at('models'),
      configFiles: configFiles('config'),
      isKeptModel: async (path) => path.endsWith('adapter.gguf'),
      keepsSecretKey: false,
      ...more,
    },
    version: '1.2.3',
    now: () => Date.UTC(2026, 0, 1),
  }
}

const backUp = (more?: Partial<BackupParts['folders']>) => writeBackup(backupFile(), partsOf(more))

const placesIn = (root: string) => ({
  dataDir: at(root, 'data'),
  modelsDir: at(root, 'models'),
  configFiles: configFiles(`${root}/config`),
  databasePaths: [at(root, 'data', 'simpleia.db')],
})

/** Restores into folders and a database of their own. `kind`: of the database. */
async function restoreInto(root: string, kind: 'here' | 'file' = 'here') {
  const url = kind === 'file' ? at(root, 'data', 'simpleia.db') : await databaseAt(at(root, 'data', 'simpleia.db'))
  const backup = await openBackup(backupFile())
  try {
    const parts = { places: placesIn(root), layouts, openStorage: () => openStorage({ url }) }
    const restored = await restoreBackup(backup, parts)
    return { url, restored }
  } finally {
    await backup.close()
  }
}

async function sumsAt(url: string): Promise<unknown> {
  const storage = await openStorage({ url })
  try {
    return await sumsOf(storage)
  } finally {
    await storage.close()
  }
}

const sumsOf = ({ db }: Storage) => Promise.all(layouts.map((layout) => sumTable(db, layout)))

describe('what is backed up', () => {
  test('rows, files and settings come back as they were, into the same kind of database and into SQLite', async () => {
    await backUp()
    const sums = await sumsOf(source)
    const { url, restored } = await restoreInto('first')
    expect(await sumsAt(url)).toEqual(sums)
    expect(await sumsAt((await restoreInto('second', 'file')).url)).toEqual(sums)
    expect(restored).toEqual({ rows: layouts.length * 6, files: 5, keptAside: [] })
    expect(await readFile(at('first/data/snapshots/user-1/notes.snapshot'), 'utf8')).toBe('a snapshot')
    expect(await readFile(at('first/data/training/run-1/checkpoint-0.bin'), 'utf8')).toBe('a checkpoint')
    expect(await readFile(at('first/data/snapshots', 'long/'.repeat(30), 'name-ñ.snapshot'), 'utf8')).toBe('deep')
    expect(await readFile(at('first/config/config.json'), 'utf8')).toContain('"small"')
    expect(await readFile(at('first/models/adapter.gguf'), 'utf8')).toBe('an adapter')
  })

  test('models and the key that signs tokens are in it only when they are asked for', async () => {
    const namesOf = async (more?: Partial<BackupParts['folders']>) => (await backUp(more)).files.map(({ name }) => name)
    const usual = await namesOf()
    expect(usual).not.toContain('data/secret-key')
    expect(usual).not.toContain('models/large.gguf')
    const all = await namesOf({ keepsSecretKey: true, isKeptModel: async () => true })
    expect(all).toEqual(expect.arrayContaining(['data/secret-key', 'models/large.gguf', 'models/adapter.gguf']))
  })

  test('what is on its way, half written or a database is not in it, and links are not followed', async () => {
    await symlink('/etc/hostname', at('data', 'link'))
    const names = (await backUp()).files.map(({ name }) => name).filter((name) => name.startsWith('data/'))
    expect(names.sort()).toEqual([
      `data/snapshots/${'long/'.repeat(30)}name-ñ.snapshot`,
      'data/snapshots/user-1/notes.snapshot',
      'data/training/run-1/checkpoint-0.bin',
    ])
  })

  test('the rows are those of one moment, whatever is written meanwhile', async () => {
    const sums = await sumsOf(source)
    let isDone = false
    const writing = (async () => {
      // A turn of the event loop between two: SQLite answers within the call.
      for (let index = 0; !isDone; index += 1, await setImmediate())
        await source.db
          .updateTable('feedback')
          .set({ text: `later ${index}` })
          .execute()
    })()
    // The snapshot has begun once the file is there.
    const readSnapshot: Storage['readSnapshot'] = (work) =>
      source.readSnapshot(async (db) => {
        await db.selectFrom('feedback').select('id').execute()
        started.resolve(await Promise.all(layouts.map((layout) => sumTable(db, layout))))
        return work(db)
      })
    const started = Promise.withResolvers<unknown>()
    const parts = partsOf()
    const { tables } = await writeBackup(backupFile(), { ...parts, storage: { ...source, readSnapshot } })
    isDone = true
    await writing
    const expected = await started.promise
    expect(tables.map(({ rows, sha256 }) => ({ rows, sha256 }))).toEqual(expected)
    expect(await sumsOf(source)).not.toEqual(sums)
    expect(await sumsAt((await restoreInto('first')).url)).toEqual(expected)
  })

  test('only its owner may read it, and a new one takes the place of the old one in one step', async () => {
    await backUp()
    expect((await stat(backupFile())).mode & 0o777).toBe(0o600)
    const before = await readFile(backupFile())
    const readSnapshot = () => Promise.reject(new Error('The database broke off.'))
    await expect(writeBackup(backupFile(), { ...partsOf(), storage: { ...source, readSnapshot } })).rejects.toThrow()
    expect(Buffer.compare(await readFile(backupFile()), before)).toBe(0)
    expect(await readdir(at('kept'))).toEqual(['simpleia.tar'])
  })

  test('what a backup that was killed has left is removed by the next one', async () => {
    await write('kept/simpleia.tar.99999999.0ce1b0a4-0000-4000-8000-000000000000.part', 'half')
    await backUp()
    expect(await readdir(at('kept'))).toEqual(['simpleia.tar'])
  })

  test('among the data there is a folder for backups, and none may be anywhere else there', async () => {
    await expect(writeBackup(at('data', 'simpleia.tar'), partsOf())).rejects.toMatchObject({ code: 'invalid' })
    await writeBackup(at('data', 'backups', 'one.tar'), partsOf())
    const { files } = await writeBackup(at('data', 'backups', 'two.tar'), partsOf())
    expect(files.filter(({ name }) => name.includes('backups'))).toEqual([])
  })
})

describe('what is restored', () => {
  test('a place that is not empty is refused, and stays as it was', async () => {
    await backUp()
    await write('first/data/something', 'of somebody')
    await expect(restoreInto('first')).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('not empty') })
    expect(await readdir(at('first', 'data'))).toEqual(['something'])
  })

  test('a database that holds rows is refused, and the service may start there as before', async () => {
    await backUp()
    const url = await databaseAt(at('elsewhere.db'))
    const storage = await openStorage({ url })
    await fillTables(storage.db, layouts, 1)
    await storage.close()
    const sums = await sumsAt(url)
    const backup = await openBackup(backupFile())
    const parts = { places: placesIn('first'), layouts, openStorage: () => openStorage({ url }) }
    await expect(restoreBackup(backup, parts)).rejects.toMatchObject({ code: 'conflict' })
    await backup.close()
    expect(await sumsAt(url)).toEqual(sums)
    await refuseUnfinishedRestore(at('first', 'data'))
  })

  test('settings that are there are kept aside', async () => {
    await backUp()
    await write('first/config/config.json', '{}')
    const { restored } = await restoreInto('first')
    expect(restored.keptAside).toEqual([at('first/config/config.json.before-restore')])
    expect(await readFile(at('first/config/config.json.before-restore'), 'utf8')).toBe('{}')
  })

  test('one that breaks off after the rows is told at the start of the service, and ended by the same backup', async () => {
    await backUp()
    // The models cannot be written: a file is where their folder should be.
    await write('first/models', 'in the way')
    await expect(restoreInto('first')).rejects.toThrow()
    await expect(refuseUnfinishedRestore(at('first', 'data'))).rejects.toMatchObject({ code: 'unavailable' })
    await rm(at('first/models'))
    const { url } = await restoreInto('first')
    expect(await sumsAt(url)).toEqual(await sumsOf(source))
    await refuseUnfinishedRestore(at('first', 'data'))
  })

  test('the note of one that was begun is not written again, so that it is there whenever the next one is killed', async () => {
    await backUp()
    await write('first/models', 'in the way')
    await expect(restoreInto('first')).rejects.toThrow()
    const note = at('first', 'data', 'restore-unfinished.json')
    const before = await stat(note, { bigint: true })
    await expect(restoreInto('first')).rejects.toThrow()
    expect((await stat(note, { bigint: true })).mtimeNs).toBe(before.mtimeNs)
  })

  test('one that was killed before it had said so begins anew', async () => {
    await backUp()
    await write('first/data/restore-unfinished.json', '12ab')
    await expect(refuseUnfinishedRestore(at('first', 'data'))).rejects.toMatchObject({ code: 'unavailable' })
    const { url } = await restoreInto('first')
    expect(await sumsAt(url)).toEqual(await sumsOf(source))
  })

  test('a backup of an older program becomes one of this', async () => {
    const older = migrations.slice(0, 18)
    const its = await readLayouts(older)
    const old = await openStorage({ url: at('old.db'), migrations: older })
    await fillTables(old.db, its)
    const parts = { ...partsOf(), storage: old, layouts: its, migrations: older.map(({ id }) => id) }
    await writeBackup(backupFile(), parts)
    await old.close()
    const backup = await openBackup(backupFile())
    const known = migrationsOf(backup.manifest, migrations)
    const url = at('first', 'data', 'simpleia.db')
    await restoreBackup(backup, {
      places: placesIn('first'),
      layouts: await readLayouts(known),
      openStorage: () => openStorage({ url, migrations: known }),
    })
    await backup.close()
    const { db, close } = await openStorage({ url })
    expect(await db.selectFrom('conversations').select('usedAt').execute()).toHaveLength(6)
    await close()
  })

  test('one of a newer program is refused', async () => {
    await writeBackup(backupFile(), { ...partsOf(), migrations: ['001-users', '999-later'] })
    const { manifest, close } = await openBackup(backupFile())
    await close()
    expect(() => migrationsOf(manifest, migrations)).toThrow(/newer simpleIA .*999-later/)
    await rewrite((text) => text.replace('"format": 1', '"format": 2, "more": true'))
    await expect(openBackup(backupFile())).rejects.toMatchObject({ code: 'unprocessable' })
  })
})

/** Writes the backup anew, with another manifest and with more files. */
async function rewrite(change: (manifest: string) => string, more: Readonly<Record<string, string>> = {}): Promise<void> {
  const [from, to] = [await open(backupFile(), 'r'), await open(at('changed.tar'), 'w')]
  await writeTar(to, new Date(0), async (tar) => {
    for await (const entry of readTar(from)) {
      const bytes = Buffer.concat(await Array.fromAsync(entry.content))
      if (entry.name === 'manifest.json') {
        for (const [name, content] of Object.entries(more))
          await tar.add(name, Buffer.byteLength(content), [Buffer.from(content)])
        const changed = Buffer.from(change(bytes.toString()))
        await tar.add(entry.name, changed.length, [changed])
      } else await tar.add(entry.name, bytes.length, [bytes])
    }
  })
  await Promise.all([from.close(), to.close()])
  await rename(at('changed.tar'), backupFile())
}

describe('what is refused', () => {
  test('a byte that has changed anywhere is noticed before anything is written', async () => {
    await backUp()
    const whole = await readFile(backupFile())
    for (let index = 0; index < 40; index += 1) {
      const changed = Buffer.from(whole)
      const place = Math.floor(((index + 0.5) / 40) * whole.length)
      changed[place] = (changed[place] ?? 0) ^ 0x41
      await writeFile(backupFile(), changed)
      const isNoticed = await openBackup(backupFile()).then(
        async (backup) => {
          // Between two entries there is nothing that counts.
          await backup.close()
          return whole[place] === 0
        },
        () => true,
      )
      expect(isNoticed, `byte ${place}`).toBe(true)
    }
  })

  test('one that was cut off, and what is no backup at all', async () => {
    await backUp()
    const whole = await readFile(backupFile())
    for (const length of [0, 100, 512, 5000, whole.length - 1024, Math.floor(whole.length / 2)]) {
      await writeFile(backupFile(), whole.subarray(0, length))
      await expect(openBackup(backupFile()), `${length} bytes`).rejects.toMatchObject({ code: 'invalid' })
    }
    await writeFile(backupFile(), 'Not a backup. '.repeat(200))
    await expect(openBackup(backupFile())).rejects.toMatchObject({ code: 'invalid' })
    await expect(openBackup(at('nothing'))).rejects.toMatchObject({ code: 'not_found' })
  })

  const outside = [
    'data/../../outside',
    '/etc/outside',
    'data//outside',
    'data/./outside',
    'data\\..\\outside',
    'other/file',
    'data',
  ]
  test.each(outside)('a file that would be written elsewhere: %s', async (name) => {
    await backUp()
    const sha256 = createHash('sha256').update('hostile').digest('hex')
    const add = (text: string) => {
      const manifest = JSON.parse(text)
      manifest.files.push({ name, bytes: 7, sha256 })
      return JSON.stringify(manifest)
    }
    await rewrite(add, { [name]: 'hostile' })
    await expect(openBackup(backupFile())).rejects.toMatchObject({ code: 'invalid' })
  })

  test('a file that would take the place of the database', async () => {
    await backUp()
    const sha256 = createHash('sha256').update('hostile').digest('hex')
    const name = 'data/simpleia.db'
    const add = (text: string) => {
      const manifest = JSON.parse(text)
      manifest.files.push({ name, bytes: 7, sha256 })
      return JSON.stringify(manifest)
    }
    await rewrite(add, { [name]: 'hostile' })
    await expect(restoreInto('first')).rejects.toMatchObject({ code: 'invalid' })
    expect(await readdir(at('first', 'data')).catch(() => [])).toEqual([])
  })
})

test('any tar program can unpack it', async () => {
  await backUp()
  const { execFileSync } = await import('node:child_process')
  await mkdir(at('unpacked'))
  execFileSync('tar', ['-xf', backupFile(), '-C', at('unpacked')])
  expect(await readFile(at('unpacked/data/snapshots', 'long/'.repeat(30), 'name-ñ.snapshot'), 'utf8')).toBe('deep')
  expect(JSON.parse(await readFile(at('unpacked/manifest.json'), 'utf8')).format).toBe(1)
  await cp(at('unpacked'), at('again'), { recursive: true })
})
