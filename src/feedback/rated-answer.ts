import { isDeepStrictEqual } from 'node:util'
import type { Prompt } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import type { Database } from '../storage/tables.ts'

/** Who gives feedback. */
export type Rater = Readonly<{ userId: string | undefined }>

/** `unknown`: it was never remembered, or no more. Feedback on it is kept, and teaches nothing. */
export type RatedAnswer = 'known' | 'unknown'

export type Rated = Readonly<{ predictionId: string; rejectedPredictionId: string | undefined }>

/**
 * Looks for the answers that feedback names. Throws `not_found` for an answer to somebody else, and `invalid` where an answer is said to
 * be kept over itself, or over one to another question.
 */
export async function findRated(db: Database, rater: Rater, { predictionId, rejectedPredictionId }: Rated): Promise<RatedAnswer> {
  const rated = await findOwn(db, rater, predictionId, 'prediction_id')
  if (rejectedPredictionId === undefined) return rated === undefined ? 'unknown' : 'known'
  if (rejectedPredictionId === predictionId) throw wrongRejected('another answer than "prediction_id"', 'the same one')
  const rejected = await findOwn(db, rater, rejectedPredictionId, 'rejected_prediction_id')
  if (rated === undefined || rejected === undefined) return 'unknown'
  const difference = differenceOf(rated, rejected)
  if (difference !== undefined) throw wrongRejected('an answer to the same prompt as "prediction_id"', difference)
  return 'known'
}

async function findOwn(db: Database, rater: Rater, id: string, field: string): Promise<Prompt | undefined> {
  const found = await db.selectFrom('predictions').select(['ownerId', 'prompt']).where('id', '=', id).executeTakeFirst()
  if (found === undefined) return undefined
  // One that was given to someone without an account: ids cannot be guessed, so whoever has this one was given it.
  const isOwn = found.ownerId === null || found.ownerId === rater.userId
  if (isOwn) return JSON.parse(found.prompt)
  throw new AppError('not_found', `There is no answer "${id.slice(0, 100)}" that was given to you.`, {
    details: [{ field, expected: 'the id of an answer that was given to you', got: 'another id' }],
  })
}

/** What differs first between two prompts, in words. */
export function differenceOf(one: Prompt, other: Prompt): string | undefined {
  if (isDeepStrictEqual(one, other)) return undefined
  if (one.type === 'text' || other.type === 'text')
    return one.type === other.type ? 'an answer to another text' : 'one to a text, where the other is to a conversation'
  const place = one.messages.findIndex((message, index) => !isDeepStrictEqual(message, other.messages[index]))
  if (place >= 0 && place < other.messages.length) return `one to a conversation whose message ${place + 1} is another`
  if (one.messages.length !== other.messages.length)
    return `one to a conversation of ${other.messages.length} messages, where the other has ${one.messages.length}`
  return isDeepStrictEqual(one.tools, other.tools) ? 'one with another reasoning effort' : 'one with other tools'
}

function wrongRejected(expected: string, got: string): AppError {
  const field = 'rejected_prediction_id'
  return new AppError('invalid', `"${field}" must be ${expected}, but is ${got}.`, { details: [{ field, expected, got }] })
}
