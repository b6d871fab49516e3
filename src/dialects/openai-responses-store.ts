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

/** Responses that can be asked for again, by their owner only. */
export interface StoredResponses {
  /** Those that are older than 30 days go. */
  save(owner: ResponseOwner, stored: StoredResponse): Promise<void>
  find(owner: ResponseOwner, id: string): Promise<StoredResponse | undefined>
  /** Whether there was one. */
  remove(owner: ResponseOwner, id: string): Promise<boolean>
}

const keptMs = 30 * 24 * 60 * 60 * 1000

export function createStoredResponses({ db, now }: Readonly<{ db: Database; now: () => number }>): StoredResponses {
  return {
    async save({ key, userId }, { input, response }) {
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
      const oldest = new Date(now() - keptMs).toISOString()
      await db.deleteFrom('responses').where('createdAt', '<', oldest).execute()
    },
    async find(owner, id) {
      const row = await db
        .selectFrom('responses')
        .select(['input', 'response'])
        .where('id', '=', id)
        .where(({ eb }) => (owner.userId === undefined ? eb('ownerKey', '=', owner.key) : eb('ownerId', '=', owner.userId)))
        .executeTakeFirst()
      return row === undefined ? undefined : { input: JSON.parse(row.input), response: JSON.parse(row.response) }
    },
    async remove(owner, id) {
      const { numDeletedRows } = await db
        .deleteFrom('responses')
        .where('id', '=', id)
        .where(({ eb }) => (owner.userId === undefined ? eb('ownerKey', '=', owner.key) : eb('ownerId', '=', owner.userId)))
        .executeTakeFirst()
      return numDeletedRows > 0n
    },
  }
}

/** Throws `not_found`. */
export async function getStored(
  { find }: Pick<StoredResponses, 'find'>,
  owner: ResponseOwner,
  id: string,
  field: string,
): Promise<StoredResponse> {
  return (await find(owner, id)) ?? noResponse(id, field)
}

/** `field`: where the request names it. */
export function noResponse(id: string, field: string): never {
  throw new AppError('not_found', `There is no response "${id.slice(0, 100)}".`, {
    details: [{ field, expected: 'the id of a stored response', got: 'another id' }],
  })
}
