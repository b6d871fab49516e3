import { createHash } from 'node:crypto'
import type { Prompt } from '../engine/provider.ts'
import type { Prediction, Predictions } from '../predictions/prediction.ts'
import { formatCalls } from './answer-text.ts'
import type { PastConversation, RecentConversations } from './evaluation.ts'

const pageSize = 50
/** So many answers are looked through at most: long conversations have many turns. */
const mostRead = 2000

/**
 * The last conversations of a user, newest first, from the answers that are remembered: of each its last turn. Those of others, and of
 * users who want nothing remembered, are not there.
 */
export function createRecentConversations(predictions: Pick<Predictions, 'list' | 'find'>): RecentConversations {
  return async (userId, count) => {
    const owner = { key: `user:${userId}`, userId }
    const found: PastConversation[] = []
    const beginnings = new Set<string>()
    let cursor: string | undefined
    for (let read = 0; read < mostRead; read += pageSize) {
      const page = await predictions.list(owner, {}, { limit: pageSize, cursor })
      for (const { id } of page.items) {
        const prediction = await predictions.find(owner, id)
        if (prediction === undefined || isPartOf(prediction.prompt, beginnings)) continue
        found.push(toPast(prediction))
        if (found.length === count) return found
      }
      cursor = page.nextCursor
      if (cursor === undefined) break
    }
    return found
  }
}

/** Whether a later turn of the conversation, or another answer to the same, was found before; notes how this one begins. */
function isPartOf(prompt: Prompt, beginnings: Set<string>): boolean {
  const own = beginningsOf(prompt)
  const isKnown = beginnings.has(own.at(-1) ?? '')
  for (const beginning of own) beginnings.add(beginning)
  return isKnown
}

/** A checksum of each beginning of the prompt, up to all of it. */
function beginningsOf(prompt: Prompt): readonly string[] {
  if (prompt.type === 'text') return [checksum('', prompt.text)]
  let before = ''
  return prompt.messages.map(({ role, content }) => {
    before = checksum(before, `${role} ${content}`)
    return before
  })
}

const checksum = (before: string, text: string) => createHash('sha256').update(`${before}\n${text}`).digest('base64')

function toPast({ id, prompt, choices, model, rating }: Prediction): PastConversation {
  const { text = '', toolCalls = [] } = choices[0] ?? {}
  return { predictionId: id, prompt, answer: text === '' ? formatCalls(toolCalls) : text, model, rating: rating ?? undefined }
}
