import { setImmediate } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { StoppedChoice } from '../predict/collect.ts'
import type { PredictRequest, RecordedAnswer, Recorder } from '../predict/predict.ts'
import type { PredictionsTable } from '../storage/learning-tables.ts'
import type { Database } from '../storage/tables.ts'
import { writeLightly } from '../storage/write-lightly.ts'
import { excerptOf, toStoredPrompt } from './stored-prompt.ts'

export type RecorderParts = Readonly<{
  db: Database
  /** STORE_PREDICTIONS. */
  isOn: boolean
  log: Pick<FastifyBaseLogger, 'error'>
  /** Counts what became of an answer that was to be remembered. */
  count: (outcome: 'stored' | 'failed') => void
  now: () => number
}>

/** Rows of one transaction at most. */
const mostAtOnce = 100

type Waiting = Readonly<{ row: PredictionsTable; done: () => void }>

/**
 * Remembers answers, unless the service, the user or the request wants it otherwise. What fails is logged, and fails no answer.
 * Answers that end in the same turn of the event loop share a transaction, which costs several times as much as the rows in it.
 */
export function createRecorder({ db, isOn, log, count, now }: RecorderParts): Recorder {
  let waiting: Waiting[] = []
  let isWriting = false

  async function writeWaiting(): Promise<void> {
    isWriting = true
    while (waiting.length > 0) {
      await setImmediate()
      const together = waiting.slice(0, mostAtOnce)
      waiting = waiting.slice(mostAtOnce)
      await write(together.map(({ row }) => row))
      for (const { done } of together) done()
    }
    isWriting = false
  }

  /** Never rejects. What is wrong with one row is not to cost the others. */
  async function write(rows: readonly PredictionsTable[]): Promise<void> {
    try {
      const stored = await writeLightly(db, async (transaction) => {
        // Asked in the same transaction: whoever switches it off finds nothing afterwards.
        const wanted = await whereWanted(transaction, rows)
        if (wanted.length > 0) await transaction.insertInto('predictions').values(wanted).execute()
        return wanted
      })
      for (const _ of stored) count('stored')
    } catch (error) {
      if (rows.length === 1) fail(error, rows[0]?.id)
      // At once: where the database does not answer, nobody waits for it longer than alone.
      else await Promise.all(rows.map((row) => write([row])))
    }
  }

  function fail(error: unknown, predictionId: string | undefined): void {
    count('failed')
    log.error({ err: error, predictionId }, 'An answer could not be remembered')
  }

  return {
    async record(answer) {
      if (!isOn || answer.request.remember === false) return
      const { promise, resolve } = Promise.withResolvers<void>()
      try {
        waiting.push({ row: toRow(answer, now()), done: resolve })
      } catch (error) {
        return fail(error, answer.id)
      }
      if (!isWriting) void writeWaiting()
      await promise
    },
  }
}

/** Nobody without an account has switched it off, and a user who was deleted meanwhile leaves nothing behind. */
async function whereWanted(db: Database, rows: readonly PredictionsTable[]): Promise<readonly PredictionsTable[]> {
  const owners = [...new Set(rows.flatMap(({ ownerId }) => ownerId ?? []))]
  if (owners.length === 0) return rows
  const users = await db.selectFrom('users').select('id').where('id', 'in', owners).where('keepsPredictions', '=', 1).execute()
  const keeping = new Set(users.map(({ id }) => id))
  return rows.filter(({ ownerId }) => ownerId === null || keeping.has(ownerId))
}

function toRow({ id, asker, request, target, choices, usage, timings }: RecordedAnswer, nowMs: number): PredictionsTable {
  return {
    id,
    ownerId: asker.userId ?? null,
    ownerKey: asker.userId === undefined ? asker.key : null,
    prompt: JSON.stringify(toStoredPrompt(request.prompt)),
    excerpt: excerptOf(request.prompt, request.question),
    choices: JSON.stringify(choices.map((choice) => toStoredChoice(choice, request))),
    provider: target.provider,
    model: target.model,
    ranOn: target.ranOn,
    rolloutId: target.rolloutId ?? null,
    parameters: JSON.stringify(toStoredParameters(request)),
    promptTokens: usage?.promptTokens ?? null,
    completionTokens: usage?.completionTokens ?? null,
    timings: timings === undefined ? null : JSON.stringify(timings),
    createdAt: new Date(nowMs).toISOString(),
  }
}

/** Log-probabilities are many times the text, and signatures of thoughts are worth something to their provider alone. */
const toStoredChoice = (
  { index, text, reason, reasoning, toolCalls, stopText }: StoppedChoice,
  { toShown }: Pick<PredictRequest, 'toShown'>,
) => ({
  index,
  text: toShown === undefined ? text : toShown(text),
  reason,
  ...(reasoning === '' ? {} : { reasoning }),
  ...(toolCalls.length === 0 ? {} : { toolCalls }),
  ...(stopText === undefined ? {} : { stopText }),
})

const toStoredParameters = ({ maxTokens, choices, sampling, stop, format, logprobs, question }: PredictRequest) => ({
  maxTokens,
  choices,
  sampling,
  stop,
  format,
  logprobs,
  question,
})
