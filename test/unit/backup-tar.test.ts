import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { type FileHandle, mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setImmediate } from 'node:timers/promises'
import { pack } from 'tar-stream'
import { expect, onTestFinished, test } from 'vitest'
import { openBackup } from '../../src/backup/read-backup.ts'
import { restoreBackup } from '../../src/backup/restore-backup.ts'
import { migrationsOf } from '../../src/backup/schema-of-backup.ts'
import { readTar, writeTar } from '../../src/backup/tar-file.ts'
import { migrations } from '../../src/storage/migrations.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { readLayouts } from '../../src/storage/transfer/layout.ts'
import { openFolder } from '../temp-folder.ts'
import { unpackTar } from '../unpack-tar.ts'

async function makeTempFolder(): Promise<string> {
  const folder = await openFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  return folder.path
}

async function openFile(path: string, flags: string): Promise<FileHandle> {
  const file = await open(path, flags)
  onTestFinished(() => file.close())
  return file
}

const someBytes = (count: number) => [Buffer.alloc(count, 'x')]
const newTarPath = async () => join(await makeTempFolder(), 'some.tar')

test('a backup that version 0.1 wrote, with a writer of its own, is restored', async () => {
  const folder = await makeTempFolder()
  const backup = await openBackup(join(import.meta.dirname, '../fixtures/backup-of-0.1.tar'))
  const known = migrationsOf(backup.manifest, migrations)
  const dataDir = join(folder, 'data')
  const url = join(dataDir, 'simpleia.db')
  const configFiles = [join(folder, 'config.json')]
  const places = { dataDir, modelsDir: join(folder, 'models'), configFiles, databasePaths: [url] }
  const parts = { places, layouts: await readLayouts(known), openStorage: () => openStorage({ url, migrations: known }) }
  expect(await restoreBackup(backup, parts)).toEqual({ rows: 6, files: 4, keptAside: [] })
  await backup.close()
  const snapshot = (name: string) => readFile(join(dataDir, 'snapshots', name), 'utf8')
  expect(await snapshot('notes.snapshot')).toBe('a snapshot')
  expect(await snapshot('nombre-ñandú.snapshot')).toBe('short, not ASCII')
  expect(await snapshot(`${'long/'.repeat(30)}name-ñ.snapshot`)).toBe('deep')
  const { db, close } = await openStorage({ url })
  expect(await db.selectFrom('users').select('id').execute()).toHaveLength(3)
  await close()
})

test('names of any length and alphabet come back as they were, here and with another tar program', async () => {
  const path = await newTarPath()
  const names = [
    'short',
    'ñandú/雪/👩‍👩‍👧',
    `${'long/'.repeat(30)}end`,
    'n'.repeat(255),
    `${'ñ'.repeat(120)}/${'b'.repeat(200)}`,
    ' a = b\n',
  ]
  const written = await openFile(path, 'w')
  await writeTar(written, new Date(0), async (tar) => {
    for (const [index, name] of names.entries()) await tar.add(name, index * 300, someBytes(index * 300))
  })
  const read = await openFile(path, 'r')
  const entries = await Array.fromAsync(readTar(read), async ({ name, sizeBytes, content }) => {
    expect(Buffer.concat(await Array.fromAsync(content))).toHaveLength(sizeBytes)
    return { name, sizeBytes }
  })
  expect(entries).toEqual(names.map((name, index) => ({ name, sizeBytes: index * 300 })))
  const listed = execFileSync('tar', ['--list', '--quoting-style=literal', '--file', path], { encoding: 'utf8' })
  expect(listed).toBe(names.map((name) => `${name}\n`).join(''))
})

test('a file of more than 8 GiB has its size, here and with another tar program', async () => {
  const path = await newTarPath()
  const sizeBytes = 9 * 2 ** 30
  const file = await openFile(path, 'w+')
  const brokenOff = writeTar(file, new Date(0), (tar) =>
    tar.add(
      'models/large.gguf',
      sizeBytes,
      (async function* () {
        yield Buffer.alloc(512)
        throw new Error('as much as the test needs')
      })(),
    ),
  )
  await expect(brokenOff).rejects.toThrow('as much as the test needs')
  // The rest is a hole, which takes no room.
  await file.truncate(512 + sizeBytes + 1024)
  for await (const entry of readTar(file)) {
    expect(entry).toMatchObject({ name: 'models/large.gguf', offset: 512, sizeBytes })
    break
  }
  const listed = execFileSync('tar', ['--list', '--verbose', '--file', path], { encoding: 'utf8' })
  expect(listed).toContain(` ${sizeBytes} `)
})

test.each([
  ['a symbolic link', { type: 'symlink', linkname: '/etc/passwd' }],
  ['a hard link', { type: 'link', linkname: '../../outside' }],
  ['a folder', { type: 'directory' }],
  ['a device', { type: 'character-device', devmajor: 1, devminor: 3 }],
  ['a pipe', { type: 'fifo' }],
] as const)('%s in a tar file is refused', async (_what, header) => {
  const path = await newTarPath()
  const tar = pack()
  tar.entry({ name: 'data/innocent', ...header })
  tar.finalize()
  await pipeline(tar, createWriteStream(path))
  const refusal = { code: 'invalid', message: expect.stringContaining('something else than plain files') }
  await expect(Array.fromAsync(readTar(await openFile(path, 'r')))).rejects.toMatchObject(refusal)
})

test('wherever a tar file is cut off, that is said, and so it is of what is none', async () => {
  const path = await newTarPath()
  const folder = join(path, '../unpacked')
  await mkdir(folder)
  await writeFile(join(folder, 'one'), randomBytes(700))
  await writeFile(join(folder, 'ñ'.repeat(80)), randomBytes(1500))
  execFileSync('tar', [
    '--create',
    '--format=pax',
    '--blocking-factor=1',
    '--file',
    path,
    '--directory',
    folder,
    'one',
    'ñ'.repeat(80),
  ])
  const whole = await readFile(path)
  const readAll = async (bytes: Buffer) => {
    await writeFile(path, bytes)
    const read = await open(path, 'r')
    const entries = await Array.fromAsync(readTar(read), async ({ content }) => Array.fromAsync(content)).finally(() =>
      read.close(),
    )
    return entries.length
  }
  expect(await readAll(whole)).toBe(2)
  for (let length = 0; length < whole.length; length += 128)
    await expect(readAll(whole.subarray(0, length)), `${length} bytes`).rejects.toMatchObject({ code: 'invalid' })
  await expect(readAll(randomBytes(4096))).rejects.toMatchObject({ code: 'invalid' })
})

test('a file that is shorter or longer than was said is told, and spoils no other', async () => {
  const path = await newTarPath()
  const file = await openFile(path, 'w')
  const pieces = [Buffer.from('abc'), Buffer.from('def')]
  await writeTar(file, new Date(0), async (tar) => {
    expect(await tar.add('short', 3_000_000, pieces)).toBeUndefined()
    expect(await tar.add('long', 4, [...pieces, ...pieces])).toBeUndefined()
    expect(await tar.add('whole', 6, pieces)).toBe(createHash('sha256').update('abcdef').digest('hex'))
  })
  const entries = await unpackTar(path)
  expect([...entries].map(([name, content]) => [name, content.length])).toEqual([
    ['short', 3_000_000],
    ['long', 4],
    ['whole', 6],
  ])
  expect(entries.get('long')).toBe('abcd')
})

test('a full disk is told as such, while a file is added and at the end', async () => {
  const full = await openFile('/dev/full', 'w')
  const large = writeTar(full, new Date(0), (tar) => tar.add('large', 8e6, someBytes(8e6)))
  await expect(large).rejects.toMatchObject({ code: 'ENOSPC' })
  const small = writeTar(full, new Date(0), (tar) => tar.add('small', 10, someBytes(10)))
  await expect(small).rejects.toMatchObject({ code: 'ENOSPC' })
})

test('no more is read than the disk takes', async () => {
  const path = join(await makeTempFolder(), 'pipe')
  execFileSync('mkfifo', [path])
  const slow = await openFile(path, 'r+')
  let given = 0
  async function* chunks() {
    for (; given < 64; given += 1) yield Buffer.alloc(1024 * 1024)
  }
  const writing = writeTar(slow, new Date(0), (tar) => tar.add('large', 64 * 1024 * 1024, chunks()))
  for (let turn = 0; turn < 1000; turn += 1) await setImmediate()
  expect(given).toBeLessThan(8)
  for (let left = 512 + 64 * 1024 * 1024 + 1024; left > 0; ) left -= (await slow.read(Buffer.alloc(1024 * 1024))).bytesRead
  expect(await writing).toMatch(/^[0-9a-f]{64}$/)
})
