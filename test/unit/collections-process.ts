// Adds to a collection, saves it and re-embeds it, all at once and without end, for collections-kill.test.ts:
// node collections-process.ts FOLDER DATABASE ROUND TURNS. It kills itself after so many turns of the event loop; 0: it waits to be killed.
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createCollections } from '../../src/embed/collections.ts'
import { createPassages } from '../../src/embed/passages.ts'
import { createReEmbedding } from '../../src/embed/re-embed.ts'
import { openSnapshotFiles } from '../../src/embed/snapshot-files.ts'
import { createSnapshots } from '../../src/embed/snapshots.ts'
import { createReadVectors } from '../../src/embed/vector-rows.ts'
import { openLocalQueue } from '../../src/jobs/job-queue.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { batchOf, documentOf, killedModels, killedOwner as owner } from '../collections-killed.ts'
import { createFakeVectorIndex } from '../fake-vector-index.ts'

const [folder = '', url = '', round = '', turns = '0'] = process.argv.slice(2)
const never = new AbortController().signal
const now = Date.now
const { db, readSnapshot } = await openStorage({ url })
const models = killedModels()
const readVectors = createReadVectors(db)
const vectorIndex = createFakeVectorIndex(readVectors)
const parts = {
  db,
  readSnapshot,
  models,
  vectorIndex,
  readVectors,
  now,
  instanceId: String(process.pid),
  openQueue: openLocalQueue({ wait: () => nextTurn() }),
}
const collections = createCollections(parts)
const passages = createPassages(parts)
const snapshots = createSnapshots({ ...parts, files: await openSnapshotFiles(join(folder, 'snapshots')) })
const collection = await collections.open(owner, 'default').catch(() => collections.getOwn(owner, 'default'))
const reEmbedding = createReEmbedding(parts)

let left = Number(turns)
function countTurn(): void {
  left -= 1
  if (left === 0) process.kill(process.pid, 'SIGKILL')
  setImmediate(countTurn)
}
if (left > 0) countTurn()

async function add(): Promise<void> {
  for (let index = 0; ; index += 1) {
    const name = `${round}-${index}`
    await passages.add(collection, batchOf(name), never)
    console.log(`added ${name}`)
    // The same items and the same source again, so that there is something to replace.
    await passages.add(collection, batchOf(name, 'again', `r${round}`), never)
    const { document, chunks } = documentOf(name)
    await passages.replaceDocument(collection, document, chunks, never)
    console.log(`replaced ${name}`)
    await nextTurn()
  }
}

async function save(): Promise<void> {
  for (;;) {
    const { passages: count } = await snapshots.save(owner, collection, 'copy')
    console.log(`saved ${count}`)
    await nextTurn()
  }
}

async function reEmbed(): Promise<void> {
  for (;;) {
    await reEmbedding.idle()
    const { model, nextModel } = await collections.getOwn(owner, 'default')
    const target = nextModel ?? (model === 'words' ? 'next' : 'words')
    await reEmbedding.start(owner, 'default', target)
    await reEmbedding.idle()
    console.log(`moved ${target}`)
    await nextTurn()
  }
}

await Promise.all([add(), save(), reEmbed()])
