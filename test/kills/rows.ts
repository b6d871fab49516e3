// What goes into the database, and beside it: collections, snapshots, re-embedding, datasets, conversations, answers with their feedback,
// quotas and the selection. Given: the database.
import { systemClock } from '../../src/engine/cloud/clock.ts'
import { openInstances } from '../../src/instances/instances.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { killedOwner } from './batches.ts'
import { openCollectionPaths } from './collection-paths.ts'
import { openConversationPaths } from './conversation-paths.ts'
import { openLearningPaths } from './learning-paths.ts'
import { savePaths } from './save-paths.ts'
import { openSelectionPath } from './selection-path.ts'

await savePaths(async ({ folder, life, given: [url = ''] }) => {
  const storage = await openStorage({ url })
  const { db } = storage
  const user = { id: killedOwner, username: killedOwner, usernameKey: killedOwner, passwordHash: '', tokenGeneration: 0 }
  await db
    .insertInto('users')
    .values({ ...user, role: 'user', createdAt: '', updatedAt: '' })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  const log = { error: (...problem: readonly unknown[]) => console.error(...problem), info: () => {} }
  const instances = await openInstances({ db, url, clock: systemClock, log })
  const parts = { storage, db, instances, folder, life, log, now: Date.now }
  return [
    ...(await openCollectionPaths(parts)),
    ...(await openConversationPaths(parts)),
    ...(await openLearningPaths(parts)),
    openSelectionPath(parts),
  ]
})
