import { randomUUID } from 'node:crypto'
import { type Selectable, sql } from 'kysely'
import { AppError } from '../errors.ts'
import type { PresetsTable } from '../storage/conversation-tables.ts'
import type { Database } from '../storage/tables.ts'
import type { Owner } from './owner.ts'
import type { PresetAnswer, PresetBody } from './schema.ts'

/** What one owner has at most. */
const mostPresets = 200

/** Settings under a name, by their owner. Throws `not_found` for those of others. */
export interface Presets {
  /** By name. */
  list(owner: Owner | undefined): Promise<PresetAnswer[]>
  /** Throws `conflict` for too many. */
  add(owner: Owner, given: PresetBody): Promise<PresetAnswer>
  change(owner: Owner | undefined, id: string, given: PresetBody): Promise<PresetAnswer>
  remove(owner: Owner | undefined, id: string): Promise<void>
}

export function createPresets({ db, now }: Readonly<{ db: Database; now: () => number }>): Presets {
  return {
    async list(owner) {
      if (owner === undefined) return []
      const rows = await db
        .selectFrom('presets')
        .selectAll()
        .where(owner.column, '=', owner.value)
        .orderBy(sql`lower(name)`)
        .orderBy('id')
        .execute()
      return rows.map(toAnswer)
    },

    async add(owner, { name, settings }) {
      const row = {
        id: randomUUID(),
        ownerId: owner.column === 'ownerId' ? owner.value : null,
        visitor: owner.column === 'visitor' ? owner.value : null,
        name: name.trim().toWellFormed(),
        settings: JSON.stringify(settings),
        createdAt: new Date(now()).toISOString(),
      }
      await db.transaction().execute(async (transaction) => {
        const { count } = await transaction
          .selectFrom('presets')
          .select(sql<number>`count(*)`.as('count'))
          .where(owner.column, '=', owner.value)
          .executeTakeFirstOrThrow()
        if (count >= mostPresets) throw new AppError('conflict', `You may have ${mostPresets} presets. Delete some first.`)
        await transaction.insertInto('presets').values(row).execute()
      })
      return toAnswer(row)
    },

    async change(owner, id, { name, settings }) {
      if (owner === undefined) throw noPreset(id)
      const row = await db
        .updateTable('presets')
        .set({ name: name.trim().toWellFormed(), settings: JSON.stringify(settings) })
        .where('id', '=', id)
        .where(owner.column, '=', owner.value)
        .returningAll()
        .executeTakeFirst()
      if (row === undefined) throw noPreset(id)
      return toAnswer(row)
    },

    async remove(owner, id) {
      if (owner === undefined) throw noPreset(id)
      const { numDeletedRows } = await db
        .deleteFrom('presets')
        .where('id', '=', id)
        .where(owner.column, '=', owner.value)
        .executeTakeFirst()
      if (numDeletedRows === 0n) throw noPreset(id)
    },
  }
}

const toAnswer = ({ id, name, settings, createdAt }: Selectable<PresetsTable>): PresetAnswer => ({
  id,
  name,
  settings: JSON.parse(settings),
  created_at: createdAt,
})

const noPreset = (id: string) => new AppError('not_found', `There is no preset "${id.slice(0, 100)}". GET /presets lists yours.`)
