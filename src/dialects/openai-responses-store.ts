import { sql } from 'kysely'
import { AppError } from '../errors.ts'
import type { Asker } from '../predict/predict.ts'
import type { Database, ResponsesTable } from '../storage/tables.ts'
import type { ResolvedItem } from './openai-responses-items.ts'
import type { ResponseBody } from './openai-responses-schema.ts'

/** Whose a response is: its user's, or else of whoever has the same key (without an account: the same address). */
export type ResponseOwner = Pick<Asker, 'key' | 'userId'>

export type StoredResponse = Readonly<{
  /** The items of the request, each with an id. */
  input: readonly ResolvedItem[]
  response: ResponseBody
}>

/** `characters`: of its JSON, about its bytes in memory. */
export type FoundResponse = StoredResponse & Readonly<{ characters: number }>

/** Responses that can be asked for again, by their owner only. */
export interface StoredResponses {
  /** Those that are older than 30 days go, and the oldest ones of an owner who has too many. */
  save(owner: ResponseOwner, stored: StoredResponse): Promise<void>
  find(owner: ResponseOwner, id: string): Promise<FoundResponse | undefined>
  /** Whether there was one. */
  remove(owner: ResponseOwner, id: string): Promise<boolean>
}

/** What is kept for each owner; the last response is kept whatever its size. docs/openai.md tells them. */
export const storedBounds = { responses: 1000, bytes: 64 * 1024 * 1024 } as const

const keptMs = 30 * 24 * 60 * 60 * 1000

type StoreOptions = Readonly<{
  db: Database
  now: () => number
  /** By which what is old goes. */
  settledNow?: () => number
  bounds?: Readonly<{ responses: number; bytes: number }>
}>

export function createStoredResponses({ db, now, settledNow = now, bounds = storedBounds }: StoreOptions): StoredResponses {
  const oldest = (time = now) => new Date(time() - keptMs).toISOString()

  async function removeOldest(owner: ResponseOwner): Promise<void> {
    // The sizes stand in the heads of the rows: the texts are not read for this.
    const rows = await db
      .selectFrom('responses')
      .select(['id', sql<number>`octet_length(input) + octet_length(response)`.as('bytes')])
      .where(ownedBy(owner))
      // In the order of their coming, whatever the clock said then.
      .orderBy(sql`rowid`, 'desc')
      .execute()
    let bytes = 0
    const kept = rows.findIndex((row, place) => {
      bytes += row.bytes
      return place >= bounds.responses || (place > 0 && bytes > bounds.bytes)
    })
    if (kept < 0) return
    const ids = rows.slice(kept).map(({ id }) => id)
    await db.deleteFrom('responses').where('id', 'in', ids).execute()
  }

  return {
    async save(owner, { input, response }) {
      const { key, userId } = owner
      const row: ResponsesTable = {
        id: response.id,
        ownerId: userId ?? null,
        ownerKey: userId === undefined ? key : null,
        previousId: response.previous_response_id,
        input: JSON.stringify(input),
        response: JSON.stringify(response),
        createdAt: new Date(now()).toISOString(),
      }
      await db.insertInto('responses').values(row).execute()
      await db.deleteFrom('responses').where('createdAt', '<', oldest(settledNow)).execute()
      await removeOldest(owner)
    },
    async find(owner, id) {
      const row = await db
        .selectFrom('responses')
        .select(['input', 'response'])
        .where('id', '=', id)
        .where('createdAt', '>=', oldest())
        .where(ownedBy(owner))
        .executeTakeFirst()
      if (row === undefined) return undefined
      const characters = row.input.length + row.response.length
      return { input: JSON.parse(row.input), response: JSON.parse(row.response), characters }
    },
    async remove(owner, id) {
      const { numDeletedRows } = await db
        .deleteFrom('responses')
        .where('id', '=', id)
        .where('createdAt', '>=', oldest())
        .where(ownedBy(owner))
        .executeTakeFirst()
      return numDeletedRows > 0n
    },
  }
}

const ownedBy = ({ key, userId }: ResponseOwner) =>
  userId === undefined ? sql<boolean>`owner_id is null and owner_key = ${key}` : sql<boolean>`owner_id = ${userId}`

/** Throws `not_found`. */
export async function getStored(
  { find }: Pick<StoredResponses, 'find'>,
  owner: ResponseOwner,
  id: string,
  field: string,
): Promise<FoundResponse> {
  return (await find(owner, id)) ?? noResponse(id, field)
}

/** `field`: where the request names it. */
export function noResponse(id: string, field: string): never {
  throw new AppError('not_found', `There is no response "${id.slice(0, 100)}".`, {
    details: [{ field, expected: 'the id of a stored response', got: 'another id' }],
  })
}
