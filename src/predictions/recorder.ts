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

/** Remembers answers, unless the service, the user or the request wants it otherwise. What fails is logged, and fails no answer. */
export function createRecorder({ db, isOn, log, count, now }: RecorderParts): Recorder {
  return {
    async record(answer) {
      if (!isOn || answer.request.remember === false) return
      try {
        const row = toRow(answer, now())
        const isStored = await writeLightly(db, async (transaction) => {
          // Asked in the same transaction: whoever switches it off finds nothing afterwards.
          if (!(await isWanted(transaction, row.ownerId))) return false
          await transaction.insertInto('predictions').values(row).execute()
          return true
        })
        if (isStored) count('stored')
      } catch (error) {
        count('failed')
        log.error({ err: error, predictionId: answer.id }, 'An answer could not be remembered')
      }
    },
  }
}

/** Nobody without an account has switched it off, and a user who was deleted meanwhile leaves nothing behind. */
async function isWanted(db: Database, ownerId: string | null): Promise<boolean> {
  if (ownerId === null) return true
  const user = await db.selectFrom('users').select('keepsPredictions').where('id', '=', ownerId).executeTakeFirst()
  return user?.keepsPredictions === 1
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
