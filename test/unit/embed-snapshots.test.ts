import { createHash } from 'node:crypto'
import { readdirSync, symlinkSync } from 'node:fs'
import { open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openSnapshotFiles, type SnapshotFilesParts } from '../../src/embed/snapshot-files.ts'
import { magic, type RecordKind, recordKinds } from '../../src/embed/snapshot-format.ts'
import { createSnapshots } from '../../src/embed/snapshots.ts'
import { ana, bea, type CollectionsWorldOptions, never, openCollections } from '../collections-world.ts'
import { endedPid } from '../ended-process.ts'
import { createFakeModel, embeddersOf } from '../fake-models.ts'

type Options = CollectionsWorldOptions & SnapshotFilesParts

async function openWorld(options: Options = {}) {
  const world = await openCollections(options)
  const folder = join(world.folder, 'snapshots')
  const files = await openSnapshotFiles(folder, options)
  const snapshots = createSnapshots({ ...world, files, readSnapshot: world.storage.readSnapshot })
  const openDefault = () => world.collections.open(ana, 'default')
  const pathOf = (name: string) => join(folder, ana, `${name}.snapshot`)
  /** All that the collection holds, but for what is new in each database: the numbers of passages. */
  const contentOf = async (name = 'default') => {
    const collection = await world.collections.getOwn(ana, name)
    const passages = await world.db
      .selectFrom('passages')
      .innerJoin('vectors', 'vectors.passageId', 'passages.id')
      .select(['itemId', 'documentId', 'position', 'text', 'metadata', 'page', 'lastPage', 'section', 'startOffset', 'endOffset'])
      .select(['createdAt', 'vectors.model', 'vectors.vector'])
      .where('passages.collectionId', '=', collection.id)
      .orderBy('passages.id')
      .execute()
    return { passages, documents: await world.passages.listDocuments(collection, { limit: 1000 }) }
  }
  return { ...world, snapshots, snapshotFolder: folder, openDefault, pathOf, contentOf }
}

type World = Awaited<ReturnType<typeof openWorld>>

async function fill({ passages, openDefault }: Pick<World, 'passages' | 'openDefault'>, count = 150): Promise<void> {
  const collection = await openDefault()
  const items = Array.from({ length: count }, (_, index) => ({
    itemId: `item ${index}`,
    text: `text number${index} ñ 😀`,
    metadata: { index, tags: ['a', { b: null }], 'x"y\\': '<script>alert(1)</script>' },
  }))
  await passages.add(collection, items, never)
  const document = { name: 'A', source: 'a.txt', mediaType: 'text/plain', sha256: '0'.repeat(64), sizeBytes: 3, pages: 2 }
  const chunks = [
    { text: 'chunk one', place: { page: 1, lastPage: 2, section: 'One > Two', startOffset: 0, endOffset: 9 } },
    { text: 'chunk two' },
  ]
  await passages.replaceDocument(collection, document, chunks, never)
}

describe('saving and loading', () => {
  test('gives back all of it, whatever happened since, in one file that only its user may read', async () => {
    const world = await openWorld()
    await fill(world)
    const before = await world.contentOf()
    const collection = await world.openDefault()
    const saved = await world.snapshots.save(ana, collection, 'default')
    expect(saved).toMatchObject({ name: 'default', documents: 1, passages: 152, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) })
    const bytes = await readFile(world.pathOf('default'))
    expect(bytes.length).toBe(saved.sizeBytes)
    expect(createHash('sha256').update(bytes.subarray(0, -32)).digest('hex')).toBe(saved.sha256)
    expect(await readdir(join(world.snapshotFolder, ana))).toEqual(['default.snapshot'])
    await world.passages.removeItems(collection, ['item 0', 'item 7'])
    await world.passages.add(collection, [{ text: 'something new' }, { itemId: 'item 3', text: 'changed' }], never)
    expect(await world.search.byVector(collection, { text: 'something new', k: 1 }, never)).toMatchObject([
      { text: 'something new' },
    ])
    expect(await world.snapshots.load(ana, 'default', undefined)).toMatchObject({ documents: 1, passages: 152 })
    expect(await world.contentOf()).toEqual(before)
    expect((await world.collections.getOwn(ana, 'default')).id).toBe(collection.id)
    const found = await world.search.byVector(collection, { text: 'text number7 ñ 😀', k: 1 }, never)
    expect(found).toMatchObject([{ itemId: 'item 7', score: expect.closeTo(1, 5) }])
    expect(await world.search.byWords(collection, { text: 'changed new', k: 5 })).toEqual([])
  })

  test('into a new collection makes it, with documents of its own', async () => {
    const world = await openWorld()
    await fill(world)
    await world.snapshots.save(ana, await world.openDefault(), 'copy')
    await world.snapshots.load(ana, 'copy', 'other')
    const [one, other] = [await world.contentOf(), await world.contentOf('other')]
    expect(other.passages.map(({ itemId, text }) => [itemId, text])).toEqual(
      one.passages.map(({ itemId, text }) => [itemId, text]),
    )
    expect(other.documents[0]?.id).not.toBe(one.documents[0]?.id)
    expect(other.passages.at(-1)?.documentId).toBe(other.documents[0]?.id)
    expect(await world.passages.listChunks(other.documents[0]?.id ?? '', { from: 0, to: 9 })).toHaveLength(2)
  })

  // A batch takes more than one of the pages that a save reads.
  test('is of one state while others add: what is written in one transaction is there whole or not at all', async () => {
    const world = await openWorld()
    await fill(world, 600)
    const collection = await world.openDefault()
    let isSaving = true
    const adding = (async () => {
      for (let round = 0; isSaving || round < 5; round += 1) {
        const items = Array.from({ length: 450 }, (_, index) => ({ itemId: `batch ${index}`, text: `round${round}` }))
        await world.passages.add(collection, items, never)
      }
    })()
    const saved: number[] = []
    for (let round = 0; round < 5; round += 1) saved.push((await world.snapshots.save(ana, collection, `s${round}`)).passages)
    isSaving = false
    await adding
    for (let round = 0; round < 5; round += 1) {
      await world.snapshots.load(ana, `s${round}`, 'look')
      const { passages } = await world.contentOf('look')
      const texts = passages.filter(({ itemId }) => itemId.startsWith('batch')).map(({ text }) => text)
      expect([0, 450]).toContain(texts.length)
      expect(new Set(texts).size).toBeLessThanOrEqual(1)
      expect(passages).toHaveLength(saved[round] ?? -1)
    }
    expect((await world.passages.count(collection)).passages).toBe(1052)
  })

  test('of another model is refused by a collection that has one, and makes a new one otherwise', async () => {
    const first = await openWorld()
    await fill(first)
    await first.snapshots.save(ana, await first.openDefault(), 'default')
    await first.collections.remove(ana, 'default')
    await first.close()
    const large = createFakeModel({ name: 'large', dimensions: 64 })
    const world = await openWorld({ folder: first.folder, models: embeddersOf(large) })
    const collection = await world.openDefault()
    await world.passages.add(collection, [{ text: 'mine' }], never)
    const error = await world.snapshots.load(ana, 'default', undefined).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'conflict', message: expect.stringMatching(/"words" \(32 dimensions\).*"large" \(64\)/) })
    expect(await world.passages.count(collection)).toEqual({ documents: 0, passages: 1 })
    expect(await world.snapshots.load(ana, 'default', 'old')).toMatchObject({ collection: { model: 'words' }, passages: 152 })
    expect(await readdir(join(world.snapshotFolder, ana))).toEqual(['default.snapshot'])
    await world.close()
  })

  test('belongs to who saved it', async () => {
    const world = await openWorld()
    await fill(world)
    await world.snapshots.save(ana, await world.openDefault(), 'mine')
    expect(await world.snapshots.list(ana)).toMatchObject([{ name: 'mine', sizeBytes: expect.any(Number) }])
    expect(await world.snapshots.list(bea)).toEqual([])
    await expect(world.snapshots.load(bea, 'mine', undefined)).rejects.toMatchObject({ code: 'not_found' })
    await expect(world.snapshots.remove(bea, 'mine')).rejects.toMatchObject({ code: 'not_found' })
    await world.snapshots.remove(ana, 'mine')
    await expect(world.snapshots.load(ana, 'mine', undefined)).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('names', () => {
  const hostile = [
    '../../etc/passwd',
    '%2e%2e%2f',
    '/etc/passwd',
    'C:\\x',
    'a\u0000b',
    '..',
    '.',
    '',
    'Li4veA==',
    'a/b',
    'x'.repeat(65),
    'ñ',
  ]
  test.each(hostile)('%j leads nowhere', async (name) => {
    const world = await openWorld()
    const collection = await world.openDefault()
    for (const work of [
      world.snapshots.save(ana, collection, name),
      world.snapshots.load(ana, name, undefined),
      world.snapshots.remove(ana, name),
    ])
      await expect(work).rejects.toMatchObject({ code: 'invalid' })
    expect(readdirSync(world.folder).filter((file) => !file.startsWith('simpleia.db'))).toEqual([])
  })

  test('a link that leads out of the folder is not followed', async () => {
    const world = await openWorld()
    await fill(world)
    await world.snapshots.save(ana, await world.openDefault(), 'real')
    symlinkSync(world.pathOf('real'), world.pathOf('link'))
    await expect(world.snapshots.load(ana, 'link', undefined)).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('a full disk', () => {
  test('leaves the old snapshot, and nothing beside it', async () => {
    let writes = Number.POSITIVE_INFINITY
    const openFile: typeof open = async (...parameters) => {
      const file = await open(...parameters)
      const write = file.write.bind(file)
      const failing = async (...given: Parameters<typeof write>) => {
        writes -= 1
        if (writes < 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
        return write(...given)
      }
      return Object.assign(file, { write: failing })
    }
    const world = await openWorld({ openFile })
    await fill(world, 2000)
    const collection = await world.openDefault()
    await world.snapshots.save(ana, collection, 'default')
    const before = await readFile(world.pathOf('default'))
    for (const left of [0, 1, 2]) {
      writes = left
      await expect(world.snapshots.save(ana, collection, 'default')).rejects.toMatchObject({ code: 'storage_full' })
      expect((await readFile(world.pathOf('default'))).equals(before)).toBe(true)
      expect(await readdir(join(world.snapshotFolder, ana))).toEqual(['default.snapshot'])
    }
    writes = Number.POSITIVE_INFINITY
    expect(await world.snapshots.load(ana, 'default', undefined)).toMatchObject({ passages: 2002 })
  })

  test('a file that was begun by a process that was killed is gone at the next start', async () => {
    const world = await openWorld()
    await fill(world)
    await world.snapshots.save(ana, await world.openDefault(), 'whole')
    await writeFile(`${world.pathOf('whole')}.123.part`, 'half')
    expect((await world.snapshots.list(ana)).map(({ name }) => name)).toEqual(['whole'])
    await openSnapshotFiles(world.snapshotFolder)
    expect(await readdir(join(world.snapshotFolder, ana))).toEqual(['whole.snapshot'])
  })

  test('what was begun stays while its process runs, and goes when it has ended', async () => {
    const world = await openWorld()
    await fill(world)
    await world.snapshots.save(ana, await world.openDefault(), 'whole')
    const begun = (pid: number) => writeFile(`${world.pathOf('whole')}.${pid}.abc.part`, 'half')
    await Promise.all([begun(process.ppid), begun(endedPid()), begun(process.pid)])
    await openSnapshotFiles(world.snapshotFolder)
    expect(await readdir(join(world.snapshotFolder, ana))).toEqual(['whole.snapshot', `whole.snapshot.${process.ppid}.abc.part`])
  })

  test('a file that is being written bears the number of its process', async () => {
    let names: string[] = []
    const world = await openWorld({
      openFile: async (path, flags, mode) => {
        const file = await open(path, flags, mode)
        names = readdirSync(join(world.snapshotFolder, ana))
        return file
      },
    })
    await fill(world, 3)
    await world.snapshots.save(ana, await world.openDefault(), 'whole')
    expect(names).toEqual([expect.stringMatching(new RegExp(`^whole\\.snapshot\\.${process.pid}@[\\w-]+\\.[0-9a-f-]+\\.part$`))])
  })
})

describe('a damaged file', () => {
  test('is refused wherever it is cut or a bit is flipped, and kept aside; the collection stays', async () => {
    const world = await openWorld()
    await fill(world, 20)
    const saved = await world.snapshots.save(ana, await world.openDefault(), 'default')
    const whole = await readFile(world.pathOf('default'))
    const before = await world.contentOf()
    const cuts = [0, 1, 19, 20, 51, 52, 1000, saved.sizeBytes - 33, saved.sizeBytes - 1].map((end) => whole.subarray(0, end))
    const flips = [0, 18, 20, 22, 30, 1000, saved.sizeBytes - 40, saved.sizeBytes - 1].map((at) => {
      const bytes = Buffer.from(whole)
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
      return bytes
    })
    for (const bytes of [...cuts, ...flips, Buffer.concat([whole, Buffer.from('x')])]) {
      await writeFile(world.pathOf('default'), bytes)
      const error = await world.snapshots.load(ana, 'default', undefined).catch((reason: unknown) => reason)
      if (bytes[18] !== whole[18] && bytes.length > 52) {
        expect(error).toMatchObject({ code: 'conflict', message: expect.stringContaining('another version') })
        continue
      }
      expect(error).toMatchObject({ code: 'invalid', message: expect.stringContaining('damaged') })
      expect(await readdir(join(world.snapshotFolder, ana))).toEqual(['default.snapshot.damaged'])
      expect((await readFile(`${world.pathOf('default')}.damaged`)).equals(bytes)).toBe(true)
      expect(await world.snapshots.list(ana)).toEqual([])
    }
    expect(await world.contentOf()).toEqual(before)
  })
})

describe('a hostile file is data', () => {
  const json = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  function record(kind: RecordKind | number, content: Buffer, length = content.length): Buffer {
    const head = Buffer.alloc(5)
    head.writeUInt8(typeof kind === 'number' ? kind : recordKinds[kind], 0)
    head.writeUInt32LE(length, 1)
    return Buffer.concat([head, content])
  }
  const header = (more: object = {}) =>
    record('header', json({ name: 'default', model: 'words', dimensions: 32, createdAt: '2026-01-01T00:00:00.000Z', ...more }))
  const end = (documents: number, passages: number) => record('end', json({ documents, passages }))
  const plain = { itemId: 'a', documentId: null, position: 0, text: 'a text', metadata: {}, createdAt: '' }
  const place = { page: null, lastPage: null, section: null, startOffset: null, endOffset: null }
  const unit = () => {
    const vector = new Float32Array(32)
    vector[3] = 1
    return vector
  }
  function passage(more: object | string = {}, vector = unit(), jsonLength?: number): Buffer {
    const content = typeof more === 'string' ? json(more) : json({ ...plain, ...place, ...more })
    const length = Buffer.alloc(4)
    length.writeUInt32LE(jsonLength ?? content.length)
    return record('passage', Buffer.concat([length, content, Buffer.from(vector.buffer)]))
  }
  const document = (more: object = {}) =>
    record(
      'document',
      json({
        id: 'd',
        name: 'n',
        source: 's',
        mediaType: 't',
        sha256: '',
        sizeBytes: 1,
        pages: null,
        createdAt: '',
        updatedAt: '',
        ...more,
      }),
    )
  /** With the right checksum. */
  function fileOf(...records: readonly Buffer[]): Buffer {
    const body = Buffer.concat([magic, ...records])
    return Buffer.concat([body, createHash('sha256').update(body).digest()])
  }
  async function load(bytes: Buffer) {
    const world = await openWorld()
    await fill(world, 5)
    const before = await world.contentOf()
    await world.snapshots.save(ana, await world.openDefault(), 'x')
    await writeFile(world.pathOf('x'), bytes)
    const outcome = await world.snapshots.load(ana, 'x', undefined).catch((error: unknown) => error)
    return { world, before, outcome }
  }

  test.each([
    ['no records', fileOf()],
    ['no end', fileOf(header(), passage())],
    ['no header', fileOf(passage(), end(0, 1))],
    ['two headers', fileOf(header(), header(), end(0, 0))],
    ['something after its end', fileOf(header(), end(0, 0), passage())],
    ['a count of 2^31', fileOf(header(), passage(), end(0, 2 ** 31))],
    ['a record of 2^31 bytes', fileOf(header(), record('passage', Buffer.alloc(10), 2 ** 31))],
    ['a record of 2^32 - 1 bytes', fileOf(header(), record('passage', Buffer.alloc(10), 2 ** 32 - 1))],
    ['a record that is longer than the file', fileOf(header(), record('passage', Buffer.alloc(10), 11))],
    ['a kind that does not exist', fileOf(header(), record(9, Buffer.alloc(10)), end(0, 0))],
    ['an empty passage', fileOf(header(), record('passage', Buffer.alloc(0)), end(0, 1))],
    ['JSON that is longer than its record', fileOf(header(), passage({}, unit(), 2 ** 31), end(0, 1))],
    ['a vector that is too short', fileOf(header(), passage({}, unit().slice(1)), end(0, 1))],
    ['a vector that is too long', fileOf(header(), passage({}, Float32Array.of(...unit(), 0)), end(0, 1))],
    ['dimensions of 2^31', fileOf(header({ dimensions: 2 ** 31 }), passage(), end(0, 1))],
    ['a vector of no numbers', fileOf(header(), passage({}, unit().fill(Number.NaN)), end(0, 1))],
    ['a vector of another length', fileOf(header(), passage({}, unit().fill(1)), end(0, 1))],
    ['an id twice', fileOf(header(), passage(), passage(), end(0, 2))],
    ['a document twice', fileOf(header(), document(), document({ source: 'z' }), end(2, 0))],
    ['a source twice', fileOf(header(), document(), document({ id: 'e' }), end(2, 0))],
    ["somebody else's document", fileOf(header(), passage({ documentId: 'd' }), end(0, 1))],
    ['JSON that is none', fileOf(header(), passage('{"itemId":'), end(0, 1))],
    ['a list for a passage', fileOf(header(), passage('[]'), end(0, 1))],
    ['a text that is a number', fileOf(header(), passage({ text: 7 }), end(0, 1))],
    ['metadata that is a text', fileOf(header(), passage({ metadata: 'x' }), end(0, 1))],
    ['metadata without end', fileOf(header(), passage(`{"metadata":${'['.repeat(5000)}`), end(0, 1))],
    ['a name that is a path', fileOf(header({ name: 'a\nb' }), end(0, 0))],
  ])('%s is refused, and the collection stays', async (_, bytes) => {
    const { world, before, outcome } = await load(bytes)
    expect(outcome).toMatchObject({ code: 'invalid', message: expect.stringContaining('x.snapshot.damaged') })
    expect(await world.contentOf()).toEqual(before)
    expect(await world.collections.list(ana)).toHaveLength(1)
  })

  test('scripts and names of the prototype stay text', async () => {
    const metadata =
      '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"html":"<script>alert(1)</script>"}'
    const content = JSON.stringify({ ...plain, ...place }).replace('"metadata":{}', `"metadata":${metadata}`)
    const { world, outcome } = await load(fileOf(header(), passage(content), end(0, 1)))
    expect(outcome).toMatchObject({ passages: 1 })
    expect(Object.keys(Object.prototype)).toEqual([])
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
    const [found] = await world.search.byWords(await world.openDefault(), { text: 'text', k: 1 })
    expect(JSON.stringify(found?.metadata)).toBe(metadata)
  })
})

test('a snapshot that is not on the disk of this replica may be on that of another one, and the error says so', async () => {
  const world = await openWorld({ isAlone: () => false })
  await expect(world.snapshots.load(ana, 'nowhere', undefined)).rejects.toMatchObject({
    code: 'not_found',
    message: expect.stringMatching(/disk of this replica.*share DATA_DIR/),
  })
  await expect(world.snapshots.remove(ana, 'nowhere')).rejects.toMatchObject({ code: 'not_found' })
})
