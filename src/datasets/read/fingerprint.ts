import { hash } from 'node:crypto'
import type { ChatMessage } from '../../engine/provider.ts'
import type { TrainingExample } from '../../engine/train/example.ts'

export type Fingerprint = Readonly<{
  /** The same for examples that say the same, whatever they weigh. */
  content: string
  /** The same for examples that ask the same; undefined where nothing is asked. */
  question: string | undefined
  /** The same for examples that begin with the same system prompt and first message of a user: the turns of one conversation. */
  conversation: string
  /** What users and the assistant wrote, for what looks for likenesses: a system prompt that all share says nothing. */
  said: string
  /** All texts, for what looks for secrets. */
  texts: string
}>

// 64 bits: among a million, two that differ are taken for one with a probability of one in 30 million.
const short = (value: unknown) => hash('sha256', JSON.stringify(value), 'hex').slice(0, 16)

export function fingerprintOf(example: TrainingExample): Fingerprint {
  if (example.type === 'text') {
    const { text } = example
    return { content: short(text), question: undefined, conversation: short(text), said: text, texts: text }
  }
  const { messages } = example
  const spoken = messages.filter(({ role }) => role !== 'system')
  const answers = example.type === 'preference' ? [example.chosen, example.rejected] : []
  const asked = example.type === 'preference' ? messages : messages.slice(0, lastAnswer(messages))
  const learned = example.type === 'chat' ? example.learned : undefined
  return {
    content: short([messages, learned, answers]),
    question: short(asked),
    conversation: short([messages.filter(({ role }) => role === 'system'), spoken[0]]),
    said: [...spoken.map(({ content }) => content), ...answers.slice(0, 1)].join('\n'),
    texts: [...messages.map(({ content }) => content), ...answers].join('\n'),
  }
}

function lastAnswer(messages: readonly ChatMessage[]): number {
  return Math.max(
    0,
    messages.findLastIndex(({ role }) => role === 'assistant'),
  )
}
