import { join } from 'node:path'
import type { FastifyPluginAsync } from 'fastify'
import type { Closer } from './closer.ts'
import type { Config } from './config.ts'
import { countOthers } from './datasets/count-others.ts'
import { createDatasets, type Datasets } from './datasets/datasets.ts'
import { createMakeDataset } from './datasets/make-dataset.ts'
import { readInProcess, spawnReader } from './datasets/read/read-process.ts'
import { datasetRoutes } from './datasets/routes.ts'
import type { Lessons } from './feedback/lessons.ts'
import type { Instances } from './instances/instances.ts'
import { logChild } from './log-child.ts'
import { openTempFiles } from './rag/temp-files.ts'
import type { Database } from './storage/tables.ts'

export type DatasetsPart = Readonly<{ datasets: Datasets; admin: FastifyPluginAsync }>

/** Datasets to train with. A part of the composition root. */
export async function openDatasets(
  config: Config,
  {
    db,
    instances,
    lessons,
    now,
  }: Readonly<{ db: Database; instances: Pick<Instances, 'id'>; lessons: Lessons; now: () => number }>,
  closer: Closer,
): Promise<DatasetsPart> {
  const { maxDocumentBytes: maxBytes } = config
  const tempFiles = closer.use(await openTempFiles(join(config.dataDir, 'dataset-uploads')))
  const spawn = () => spawnReader(tempFiles.folder, logChild)
  const datasets = closer.use(
    createDatasets({ db, instanceId: instances.id, now, read: (options, signal) => readInProcess(spawn, options, signal) }),
  )
  const make = createMakeDataset({
    datasets,
    tempFiles,
    maxBytes,
    lessons: { list: lessons.list, countOthers: (filter) => countOthers(db, filter) },
    findUserId: (user) => findUserId(db, user),
  })
  return { datasets, admin: datasetRoutes({ datasets, make, receive: { tempFiles, maxBytes } }).admin }
}

async function findUserId(db: Database, user: string): Promise<string | undefined> {
  const found = await db
    .selectFrom('users')
    .select('id')
    .where(({ eb, or }) => or([eb('id', '=', user), eb('username', '=', user)]))
    .executeTakeFirst()
  return found?.id
}
