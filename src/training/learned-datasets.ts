import { writeBeside } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import type { Database } from '../storage/tables.ts'
import type { LearnedDataset, LearnedDatasets } from './trainer.ts'

/** Rows that are in memory at once. */
const pieceSize = 500

/** Datasets as they are stored. */
export function createLearnedDatasets(db: Database): LearnedDatasets {
  const datasets = () => db.selectFrom('datasets').select(['id', 'name', 'version', 'kind', 'trainRows', 'heldOutRows'])
  const newest = () => datasets().orderBy('createdAt', 'desc').orderBy('id', 'desc').executeTakeFirst()

  async function find(given: string): Promise<LearnedDataset | undefined> {
    const [, name = given, version] = /^(.+):(\d{1,9})$/s.exec(given) ?? []
    const exact = datasets()
      .where('name', '=', name)
      .where('version', '=', Number(version ?? 0))
    return (
      (await datasets().where('id', '=', given).executeTakeFirst()) ??
      (await datasets().where('name', '=', given).orderBy('version', 'desc').executeTakeFirst()) ??
      (await exact.executeTakeFirst())
    )
  }

  async function* lines(id: string, split: 'train' | 'held-out'): AsyncGenerator<Uint8Array> {
    for (let after = -1; ; ) {
      const rows = await db
        .selectFrom('datasetRows')
        .select(['position', 'example'])
        .where('datasetId', '=', id)
        .where('split', '=', split)
        .where('position', '>', after)
        .orderBy('position')
        .limit(pieceSize)
        .execute()
      yield Buffer.from(rows.map(({ example }) => `${example}\n`).join(''))
      after = rows.at(-1)?.position ?? after
      if (rows.length < pieceSize) return
    }
  }

  return {
    async get(given) {
      const found = given === undefined ? await newest() : await find(given)
      if (found !== undefined) return found
      const which = given === undefined ? 'There is no dataset yet' : `There is no dataset ${JSON.stringify(given.slice(0, 100))}`
      throw new AppError('not_found', `${which}. Make one first (POST /datasets).`)
    },
    writeExamples: (id, split, file) => writeBeside(file, lines(id, split)),
  }
}
