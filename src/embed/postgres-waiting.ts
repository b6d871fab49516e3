import { sql } from 'kysely'
import type { VectorSpace } from '../engine/vector-index.ts'
import type { Database } from '../storage/tables.ts'
import { inSpace } from './postgres-nearest.ts'
import { spaceOf } from './vector-rows.ts'

/** Vectors of one statement: others who want to change them wait for so many, some tens of milliseconds. */
const vectorsAtOnce = 32

export type Settling = Readonly<{
  /** Takes into its graph what waits outside of it; when it is at that already, what comes meanwhile, too. */
  begin(space: VectorSpace): void
  /** Ends after the statement under way; what is left is taken in later. */
  close(): Promise<void>
}>

/**
 * Takes vectors into graphs in the background, each few in a statement of their own: nobody who writes waits for it. Vectors that wait are
 * found meanwhile. What fails is left for the next time.
 */
export function createSettling(db: Database): Settling {
  const wanted = new Map<string, VectorSpace>()
  let working: Promise<void> | undefined
  let isClosed = false

  async function work(): Promise<void> {
    for (let [space] = wanted.values(); space !== undefined && !isClosed; [space] = wanted.values()) {
      wanted.delete(space.key)
      while (!isClosed && (await takeIn(db, space)));
    }
    working = undefined
  }

  return {
    begin(space) {
      if (isClosed) return
      wanted.set(space.key, space)
      working ??= work().catch(() => {
        working = undefined
      })
    },
    async close() {
      isClosed = true
      await working
    },
  }
}

/** Whether there may be more. Two who are at it do not wait for each other. */
async function takeIn(db: Database, space: VectorSpace): Promise<boolean> {
  const { numAffectedRows = 0n } = await sql`
    update vectors set awaits_graph = false where ${inSpace(space)} and awaits_graph and passage_id in (
      select passage_id from vectors where ${inSpace(space)} and awaits_graph
      order by passage_id limit ${vectorsAtOnce} for update skip locked)`.execute(db)
  return numAffectedRows > 0n
}

/** The spaces of which some vectors wait. */
export async function listWaiting(db: Database): Promise<readonly VectorSpace[]> {
  const { rows } = await sql<{ id: string; model: string; dimensions: number }>`
    select collection_id as id, model, min(vector_dims(vector)) as dimensions from vectors where awaits_graph
    group by collection_id, model`.execute(db)
  return rows.map(spaceOf)
}
