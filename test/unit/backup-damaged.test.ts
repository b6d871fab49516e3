import { appendFileSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openBackup } from '../../src/backup/read-backup.ts'
import { restoreBackup } from '../../src/backup/restore-backup.ts'
import { writeTar } from '../../src/backup/tar-file.ts'
import { writeBackup } from '../../src/backup/write-backup.ts'
import { migrations } from '../../src/storage/migrations.ts'
import { openStorage, type Storage } from '../../src/storage/open-storage.ts'
import { readLayouts } from '../../src/storage/transfer/layout.ts'
import { openFolder } from '../temp-folder.ts'
import { unpackTar } from '../unpack-tar.ts'

let folder: Awaited<ReturnType<typeof openFolder>>
let source: Storage
const at = (...path: string[]) => join(folder.path, ...path)
const layouts = await readLayouts()

beforeEach(async () => {
  folder = await openFolder()
  source = await openStorage({ url: at('source.db') })
  await write('data/notes', 'some notes')
})
afterEach(async () => {
  await source.close()
  await folder[Symbol.asyncDispose]()
})

async function write(path: string, content: string): Promise<void> {
  await mkdir(dirname(at(path)), { recursive: true })
  await writeFile(at(path), content)
}

/** Of the folder `data`; `isKeptModel` is asked for each file of the folder `models`, just before it is read. */
function backUp(path = at('backup.tar'), isKeptModel: (path: string) => Promise<boolean> = async () => true) {
  const folders = { dataDir: at('data'), databasePaths: [], modelsDir: at('models'), configFiles: [at('config.json')] }
  return writeBackup(path, {
    storage: source,
    layouts,
    migrations: migrations.map(({ id }) => id),
    folders: { ...folders, isKeptModel, keepsSecretKey: false },
    version: '1.2.3',
    now: () => 0,
  })
}

async function restore(root: string, path = at('backup.tar')) {
  const url = at(root, 'data', 'simpleia.db')
  const backup = await openBackup(path)
  const places = { dataDir: at(root, 'data'), modelsDir: at(root, 'models'), configFiles: [at(root, 'config.json')] }
  try {
    await restoreBackup(backup, {
      places: { ...places, databasePaths: [url] },
      layouts,
      openStorage: () => openStorage({ url }),
    })
  } finally {
    await backup.close()
  }
}

/** Writes the backup anew, with another manifest. */
async function rewrite(change: (manifest: Manifest) => void, more: Readonly<Record<string, string>> = {}): Promise<void> {
  const entries = await unpackTar(at('backup.tar'))
  const file = await open(at('backup.tar'), 'w')
  const manifest: Manifest = JSON.parse(entries.get('manifest.json') ?? '')
  change(manifest)
  const kept = [...entries, ...Object.entries(more)].filter(([name]) => name !== 'manifest.json')
  await writeTar(file, new Date(0), async (tar) => {
    for (const [name, content] of [...kept, ['manifest.json', JSON.stringify(manifest)] as const])
      await tar.add(name, Buffer.byteLength(content), [Buffer.from(content)])
  }).finally(() => file.close())
}
type Manifest = { tables: Array<{ name: string; rows: number; sha256: string; pieces: number }>; files: object[] }

const addFeedback = (id: string, text: string) =>
  source.db
    .insertInto('feedback')
    .values({ id, text, rating: null, correction: null, tags: '[]', createdAt: '2026-01-01T00:00:00.000Z' })
    .execute()

const feedbackIn = ({ db }: Storage) => db.selectFrom('feedback').selectAll().orderBy('id').execute()

async function feedbackAt(root: string) {
  const storage = await openStorage({ url: at(root, 'data', 'simpleia.db') })
  return feedbackIn(storage).finally(storage.close)
}

test('a file that goes while it is backed up is not in it; one that never stands still is told, and no backup is kept', async () => {
  await write('models/gone.gguf', 'a model')
  const { files } = await backUp(at('backup.tar'), async (path) => {
    await rm(path)
    return true
  })
  expect(files.map(({ name }) => name)).toEqual(['data/notes'])
  await write('models/restless.gguf', 'a model')
  let isOver = false
  const grow = () => {
    if (isOver) return
    appendFileSync(at('models', 'restless.gguf'), 'more')
    setImmediate(grow)
  }
  grow()
  const failing = backUp(at('kept', 'second.tar')).finally(() => {
    isOver = true
  })
  await expect(failing).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('restless.gguf') })
  expect(await readdir(at('kept'))).toEqual([])
})

test('rows of many megabytes come back, whatever is in them', async () => {
  for (let row = 0; row < 6; row += 1) await addFeedback(`${row}`, `${row}ñ"\n`.repeat(300_000))
  const { tables } = await backUp()
  expect(tables.find(({ name }) => name === 'feedback')?.pieces).toBeGreaterThan(1)
  await restore('first')
  expect(await feedbackAt('first')).toEqual(await feedbackIn(source))
})

describe('a backup that does not tell the truth of itself is refused', () => {
  beforeEach(async () => {
    await addFeedback('1', 'good')
    await backUp()
  })
  const tableIn = ({ tables }: Manifest) => tables.find(({ name }) => name === 'feedback') ?? { rows: 0, pieces: 0 }

  test('where rows are missing that it names', async () => {
    await rewrite((manifest) => {
      tableIn(manifest).pieces += 1
    })
    await expect(openBackup(at('backup.tar'))).rejects.toMatchObject({ code: 'invalid' })
  })

  test('where it holds rows that it does not name', async () => {
    await rewrite(() => {}, { 'database/users.9.jsonl': '{}\n' })
    await expect(openBackup(at('backup.tar'))).rejects.toMatchObject({ code: 'invalid' })
  })

  test('where it names more rows than there are, and its database stays empty', async () => {
    await rewrite((manifest) => {
      tableIn(manifest).rows += 1
    })
    await expect(restore('first')).rejects.toMatchObject({ code: 'unprocessable' })
    expect(await feedbackAt('first')).toEqual([])
  })

  test('where it has lost a file', async () => {
    await rewrite(({ files }) => void files.push({ name: 'data/lost', bytes: 1, sha256: 'x' }))
    await expect(openBackup(at('backup.tar'))).rejects.toMatchObject({ code: 'invalid' })
  })
})

describe('a restore that broke off', () => {
  /** After the rows: a file is where the folder of the models should be. */
  async function breakOff(): Promise<void> {
    await addFeedback('1', 'good')
    await write('models/adapter.gguf', 'an adapter')
    await write('first/models', 'in the way')
    await backUp()
    await expect(restore('first')).rejects.toThrow()
    await rm(at('first/models'))
  }

  test('is not ended with another backup', async () => {
    await breakOff()
    await write('data/notes', 'other notes')
    await backUp(at('other.tar'))
    await expect(restore('first', at('other.tar'))).rejects.toMatchObject({ code: 'conflict' })
    await restore('first')
    expect(await readFile(at('first/data/notes'), 'utf8')).toBe('some notes')
  })

  test('is not ended over rows that somebody has written since', async () => {
    await breakOff()
    const storage = await openStorage({ url: at('first', 'data', 'simpleia.db') })
    await storage.db.updateTable('feedback').set({ text: 'of somebody' }).execute()
    await storage.close()
    const failing = restore('first')
    await expect(failing).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('"feedback"') })
  })
})

test('a backup that lies among its own folders is restored from there, and stays', async () => {
  await backUp()
  await write('first/data/backups/one.tar', '')
  await writeFile(at('first/data/backups/one.tar'), await readFile(at('backup.tar')))
  await restore('first', at('first/data/backups/one.tar'))
  expect((await readdir(at('first/data'))).sort()).toEqual(expect.arrayContaining(['backups', 'notes']))
})
