import { setImmediate } from 'node:timers/promises'
import type { Timings } from '../engine/provider.ts'
import type { Database } from '../storage/tables.ts'

/** What became of an answer of a rollout, by the latest that one person said of it. */
export type RatedAnswer = Readonly<{ model: string; isWin: boolean }>

/** Answers of one arm to the same question, kept over those of another. */
export type DirectComparison = Readonly<{ kept: string; rejected: string }>

export type WinsParts = Readonly<{
  db: Database
  /** The provider whose models are named without it. */
  localProvider: string
}>

/** Rows that are read at a time: SQLite runs in this thread. */
const pageSize = 1000
/** The newest answers of an arm that tell its speed. */
const timedAnswers = 500

/**
 * What users said of the answers of a rollout, in the order in which they said it: up is a win, down and a correction are losses. Of what one
 * user said of one answer the latest counts; those without an account are one. That one of two answers was kept is left to `readComparisons`:
 * who asks for another answer dislikes the first one, so that the model that is asked again more often would win more often.
 */
export async function readRatings({ db, localProvider }: WinsParts, rolloutId: string): Promise<readonly RatedAnswer[]> {
  const latest = new Map<string, RatedAnswer>()
  for (let after = { createdAt: '', id: '' }; ; await setImmediate()) {
    const rows = await db
      .selectFrom('feedback')
      .innerJoin('predictions', 'predictions.id', 'feedback.predictionId')
      .select(['feedback.id', 'feedback.createdAt', 'feedback.userId', 'feedback.rating', 'feedback.correction'])
      .select(['predictions.id as predictionId', 'predictions.ownerId', 'predictions.model', 'predictions.provider'])
      .where('predictions.rolloutId', '=', rolloutId)
      .where('feedback.rejectedPredictionId', 'is', null)
      .where(({ eb, or }) => or([eb('feedback.rating', 'is not', null), eb('feedback.correction', 'is not', null)]))
      .where(({ eb, and, or }) =>
        or([
          eb('feedback.createdAt', '>', after.createdAt),
          and([eb('feedback.createdAt', '=', after.createdAt), eb('feedback.id', '>', after.id)]),
        ]),
      )
      .orderBy('feedback.createdAt')
      .orderBy('feedback.id')
      .limit(pageSize)
      .execute()
    for (const row of rows) {
      const key = raterOf(row, row.predictionId)
      // Said anew, it stands at the end.
      latest.delete(key)
      latest.set(key, { model: nameOf(row, localProvider), isWin: row.rating === 'up' && row.correction === null })
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < pageSize) return [...latest.values()]
    after = { createdAt: last.createdAt, id: last.id }
  }
}

/** Answers that were kept over one of another arm; of what one user kept over the same answer the latest counts. */
export async function readComparisons({ db, localProvider }: WinsParts, rolloutId: string): Promise<readonly DirectComparison[]> {
  const rows = await db
    .selectFrom('feedback')
    .innerJoin('predictions as kept', 'kept.id', 'feedback.predictionId')
    .innerJoin('predictions as rejected', 'rejected.id', 'feedback.rejectedPredictionId')
    .select(['feedback.userId', 'rejected.id as rejectedId', 'rejected.ownerId'])
    .select(['kept.model as keptModel', 'kept.provider as keptProvider'])
    .select(['rejected.model as rejectedModel', 'rejected.provider as rejectedProvider'])
    .where('kept.rolloutId', '=', rolloutId)
    .where('rejected.rolloutId', '=', rolloutId)
    .orderBy('feedback.createdAt')
    .orderBy('feedback.id')
    .execute()
  const latest = new Map(
    rows.map((row) => {
      const kept = nameOf({ model: row.keptModel, provider: row.keptProvider }, localProvider)
      const rejected = nameOf({ model: row.rejectedModel, provider: row.rejectedProvider }, localProvider)
      return [raterOf(row, row.rejectedId), { kept, rejected }] as const
    }),
  )
  return [...latest.values()].filter(({ kept, rejected }) => kept !== rejected)
}

/** Someone without an account who has logged in since is one person. */
const raterOf = ({ ownerId, userId }: Readonly<{ ownerId: string | null; userId: string | null }>, id: string) =>
  ownerId === null ? id : `${id} ${userId ?? ''}`

export type ArmSpeed = Readonly<{
  answers: number
  /** Means of the newest answers; undefined where none tells. */
  tokensPerSecond: number | undefined
  firstTokenMs: number | undefined
  /** From the arrival of the request to the last token. */
  latencyMs: number | undefined
}>

/** How many answers an arm gave, and how fast the newest of them were. */
export async function readSpeed({ db, localProvider }: WinsParts, rolloutId: string, arm: ArmName): Promise<ArmSpeed> {
  const { provider, model } = arm
  const own = db
    .selectFrom('predictions')
    .where('rolloutId', '=', rolloutId)
    .where('provider', '=', provider)
    .where('model', '=', provider === localProvider ? model : model.slice(provider.length + 1))
  const { answers } = await own.select(({ fn }) => fn.countAll<number>().as('answers')).executeTakeFirstOrThrow()
  const rows = await own.select('timings').orderBy('createdAt', 'desc').orderBy('id', 'desc').limit(timedAnswers).execute()
  const timings = rows.flatMap(({ timings }): Timings[] => (timings === null ? [] : [JSON.parse(timings)]))
  return {
    answers: Number(answers),
    // An answer of one token has no speed.
    tokensPerSecond: meanOf(timings.map(({ tokensPerSecond }) => tokensPerSecond).filter((speed) => speed > 0)),
    firstTokenMs: meanOf(timings.map(({ firstTokenMs }) => firstTokenMs)),
    latencyMs: meanOf(timings.map(({ firstTokenMs, generationMs }) => firstTokenMs + generationMs)),
  }
}

type ArmName = Readonly<{ provider: string; model: string }>

const nameOf = ({ provider, model }: ArmName, localProvider: string) =>
  provider === localProvider ? model : `${provider}/${model}`

function meanOf(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length
}
