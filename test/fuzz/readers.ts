import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { importConversations } from '../../src/conversations/import.ts'
import { readInProcess, spawnReader } from '../../src/datasets/read/read-process.ts'
import { openSnapshotFiles } from '../../src/embed/snapshot-files.ts'
import { createSnapshots } from '../../src/embed/snapshots.ts'
import { openEmbedProcess, spawnEmbedder } from '../../src/engine/local/embed-process.ts'
import { type Engine, openEngine, spawnChild } from '../../src/engine/local/engine-process.ts'
import { AppError } from '../../src/errors.ts'
import { runConversion } from '../../src/models/convert/convert-process.ts'
import { readModelKind } from '../../src/models/model-kind.ts'
import { readOnnxModel } from '../../src/models/onnx-models.ts'
import { createExtractor, spawnExtractor } from '../../src/rag/extract/extract-process.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { writeTinyModel } from '../tiny-models.ts'
import type { FileKind, HostileFile } from './hostile-files.ts'

/** What the service reads such files with, in the process in which it does. Throws as the service would answer. */
export type Reader = Readonly<{ read(file: HostileFile): Promise<void>; close(): Promise<void> }>

const never = new AbortController().signal
const silent = () => {}

/** Opens the reader of a kind, over a folder of its own. */
export async function openReader(kind: FileKind): Promise<Reader> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-hostile-'))
  const { read, close } = await openers[kind](folder)
  return {
    read,
    async close() {
      await close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

type Open = (folder: string) => Reader | Promise<Reader>

const openers: Readonly<Record<FileKind, Open>> = {
  pdf: openDocuments,
  docx: openDocuments,
  epub: openDocuments,
  html: openDocuments,
  dataset: openDatasets,
  conversations: openConversations,
  snapshot: openSnapshots,
  'gguf-header': (folder) => ({
    read: async (file) => void (await readModelKind(await write(folder, file))),
    close: async () => {},
  }),
  gguf: openModels,
  adapter: openAdapters,
  safetensors: openCheckpoints,
  tokenizer: openCheckpoints,
  config: openCheckpoints,
  onnx: openOnnxModels,
}

async function write(folder: string, { bytes, name }: HostileFile, place = name): Promise<string> {
  const path = join(folder, place)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, bytes)
  return path
}

function openDocuments(folder: string): Reader {
  const extractor = createExtractor(() => spawnExtractor(folder, silent))
  return {
    read: async (file) => void (await extractor.extract(await write(folder, file, 'document'), { name: file.name }, never)),
    close: () => extractor.close(),
  }
}

function openDatasets(folder: string): Reader {
  return {
    async read(file) {
      const path = await write(folder, file, 'data')
      const options = { path, fileName: file.name, format: undefined, heldOut: 0.2, seed: 1, exclude: [] }
      for await (const _ of readInProcess(() => spawnReader(folder, silent), options, never));
    },
    close: async () => {},
  }
}

async function openConversations(folder: string): Promise<Reader> {
  const { db, close } = await openStorage({ url: join(folder, 'simpleia.db') })
  const owner = { column: 'visitor', value: '0'.repeat(64) } as const
  return {
    async read({ bytes }) {
      async function* chunks() {
        yield bytes.toString('utf8')
      }
      const { imported, skipped } = await importConversations({ db, now: Date.now }, owner, chunks(), never)
      if (imported === 0) throw new AppError('unprocessable', `No conversation is taken: ${skipped[0]?.reason}.`)
    },
    close,
  }
}

async function openSnapshots(folder: string): Promise<Reader> {
  const storage = await openStorage({ url: join(folder, 'simpleia.db') })
  const { db } = storage
  const owner = 'ana'
  const files = await openSnapshotFiles(join(folder, 'snapshots'))
  const user = { id: owner, username: owner, usernameKey: owner, passwordHash: '', role: 'user', tokenGeneration: 0 } as const
  await db
    .insertInto('users')
    .values({ ...user, createdAt: '', updatedAt: '' })
    .execute()
  const vectorIndex = { drop: async () => {} }
  const snapshots = createSnapshots({ db, readSnapshot: storage.readSnapshot, files, vectorIndex, now: Date.now })
  return {
    async read(file) {
      await write(folder, file, `snapshots/${owner}/a.snapshot`)
      await snapshots.load(owner, 'a', undefined)
    },
    close: () => storage.close(),
  }
}

const loading = { contextSize: 64, cacheType: 'f16', maxParallel: 1, threads: 1, speculates: false, device: 'cpu' } as const

/** As the service does: the header first, then a process that loads it, and tokens of a prompt. */
function openModels(folder: string): Reader {
  return {
    async read(file) {
      const path = await write(folder, file)
      await readModelKind(path)
      await using engine = disposable(await openEngine(spawnChild(silent), { path, ...loading }))
      await engine.countTokens([{ text: 'Some words.', special: false }])
    },
    close: async () => {},
  }
}

const disposable = (engine: Engine) => ({ ...engine, [Symbol.asyncDispose]: () => engine.close() })

async function openAdapters(folder: string): Promise<Reader> {
  const base = await writeTinyModel('llama3', folder)
  let engine: Engine | undefined
  return {
    async read(file) {
      const path = await write(folder, file, `${file.index}.gguf`)
      await readModelKind(path)
      engine ??= await openEngine(spawnChild(silent), { path: base, ...loading })
      const used = engine
      void used.ended.then(() => {
        if (engine === used) engine = undefined
      })
      await used.loadAdapter({ name: 'a', path, identity: String(file.index) })
    },
    close: async () => engine?.close(),
  }
}

function openCheckpoints(folder: string): Reader {
  return {
    async read(file) {
      const checkpoint = join(folder, `checkpoint-${file.index}`)
      await cp('test/fixtures/convert/llama3', checkpoint, { recursive: true })
      await write(checkpoint, file)
      await runConversion({ folder: checkpoint, target: join(folder, 'made.gguf'), outputType: 'f32' }, silent)
    },
    close: async () => {},
  }
}

function openOnnxModels(folder: string): Reader {
  return {
    async read(file) {
      const checkpoint = join(folder, `checkpoint-${file.index}`)
      await cp('test/fixtures/convert/tiny-bert', checkpoint, { recursive: true })
      await write(checkpoint, file)
      const files = await readOnnxModel(checkpoint)
      const model = { kind: 'embedding', files, prefixes: { query: '', document: '' }, threads: 1 } as const
      const child = spawnEmbedder(silent)
      const opened = await openEmbedProcess(child, model)
      try {
        await opened.embed({ type: 'embed-start', texts: ['some words'], truncate: true }, never)
      } finally {
        opened.kill()
        await opened.ended
      }
    },
    close: async () => {},
  }
}
