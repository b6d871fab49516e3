import type { Database } from '../storage/tables.ts'

/** A login that has not ended. `id` is that of its token. */
export type Session = Readonly<{ id: string; agent: string | null; createdAt: string; expiresAt: string }>

const mostShown = 200
const mostAgentCharacters = 300

export type NewSession = Readonly<{
  id: string
  user: Readonly<{ id: string; tokenGeneration: number }>
  /** What the client calls itself. */
  agent: string | undefined
  createdAt: string
  expiresAt: string
  /** Those that were over by then go. */
  overBefore: string
}>

/** Those that are over by themselves go. */
export async function keepSession(
  db: Database,
  { id, user, agent, createdAt, expiresAt, overBefore }: NewSession,
): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    await transaction.deleteFrom('sessions').where('expiresAt', '<=', overBefore).execute()
    await transaction
      .insertInto('sessions')
      .values({
        id,
        userId: user.id,
        tokenGeneration: user.tokenGeneration,
        agent: agent?.slice(0, mostAgentCharacters) ?? null,
        createdAt,
        expiresAt,
      })
      .execute()
  })
}

/** The newest first. `after`: those that began before are over. */
export async function listSessions(db: Database, userId: string, times: Readonly<{ now: string; after: string }>) {
  return db
    .selectFrom('sessions')
    .innerJoin('users', (join) =>
      join.onRef('users.id', '=', 'sessions.userId').onRef('users.tokenGeneration', '=', 'sessions.tokenGeneration'),
    )
    .select(['sessions.id', 'sessions.agent', 'sessions.createdAt', 'sessions.expiresAt'])
    .where('sessions.userId', '=', userId)
    .where('sessions.expiresAt', '>', times.now)
    .where('sessions.createdAt', '>', times.after)
    .orderBy('sessions.createdAt', 'desc')
    .orderBy('sessions.id')
    .limit(mostShown)
    .execute()
}

/** The tokens of a user that are to die: one, or all but one. */
export type WhichSessions = Readonly<{ id: string }> | Readonly<{ otherThan: string }>

/** Gives how many there were. */
export async function endSessions(db: Database, userId: string, which: WhichSessions): Promise<number> {
  return db.transaction().execute(async (transaction) => {
    const [comparison, id] = 'id' in which ? (['=', which.id] as const) : (['!=', which.otherThan] as const)
    await transaction
      .insertInto('revokedTokens')
      .columns(['tokenId', 'expiresAt'])
      .expression(({ selectFrom }) =>
        selectFrom('sessions').select(['id', 'expiresAt']).where('userId', '=', userId).where('id', comparison, id),
      )
      .onConflict((conflict) => conflict.column('tokenId').doNothing())
      .execute()
    const { numDeletedRows } = await transaction
      .deleteFrom('sessions')
      .where('userId', '=', userId)
      .where('id', comparison, id)
      .executeTakeFirst()
    return Number(numDeletedRows)
  })
}
