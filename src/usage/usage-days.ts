import type { Database } from '../storage/tables.ts'

/** What was used in a day. */
export type DayUsage = Readonly<{
  requests: number
  promptTokens: number
  completionTokens: number
  /** Millionths of a US dollar. */
  costMicros: number
}>

const nothing: DayUsage = { requests: 0, promptTokens: 0, completionTokens: 0, costMicros: 0 }

/** The UTC day, as `2026-01-31`. */
export const dayOf = (nowMs: number) => new Date(nowMs).toISOString().slice(0, 10)

const dayMs = 86_400_000

/** When the next UTC day begins, in milliseconds since 1970. */
export const nextDayMs = (nowMs: number) => (Math.floor(nowMs / dayMs) + 1) * dayMs

export const tokensOf = ({ promptTokens, completionTokens }: DayUsage) => promptTokens + completionTokens

export async function readUsage(db: Database, subject: string, day: string): Promise<DayUsage> {
  return (await readUsages(db, [subject], day)).get(subject) ?? nothing
}

/** Those of the subjects that used something. */
export async function readUsages(db: Database, subjects: readonly string[], day: string): Promise<ReadonlyMap<string, DayUsage>> {
  if (subjects.length === 0) return new Map()
  const rows = await db.selectFrom('usageDays').selectAll().where('day', '=', day).where('subject', 'in', subjects).execute()
  return new Map(
    rows.map(({ subject, requests, promptTokens, completionTokens, costMicros }) => [
      subject,
      // PostgreSQL gives such numbers as text.
      {
        requests: Number(requests),
        promptTokens: Number(promptTokens),
        completionTokens: Number(completionTokens),
        costMicros: Number(costMicros),
      },
    ]),
  )
}

/** Adds what was used, in one statement, so that nothing is lost between those who write at the same time. */
export async function addUsage(db: Database, subject: string, day: string, added: Partial<DayUsage>): Promise<void> {
  const { requests, promptTokens, completionTokens, costMicros } = { ...nothing, ...added }
  await db
    .insertInto('usageDays')
    .values({ subject, day, requests, promptTokens, completionTokens, costMicros })
    .onConflict((conflict) =>
      conflict.columns(['subject', 'day']).doUpdateSet(({ eb }) => ({
        requests: eb('usageDays.requests', '+', requests),
        promptTokens: eb('usageDays.promptTokens', '+', promptTokens),
        completionTokens: eb('usageDays.completionTokens', '+', completionTokens),
        costMicros: eb('usageDays.costMicros', '+', costMicros),
      })),
    )
    .execute()
}
