import type { ChatMessage } from '../../engine/provider.ts'
import type { TrainingExample } from '../../engine/train/example.ts'
import { Refused } from './refused.ts'

/** A conversation of which something can be learned. Throws `Refused`. */
export function chatExample(messages: readonly ChatMessage[], unlearned: readonly number[]): TrainingExample {
  refuseWithoutQuestion(messages)
  const answers = messages.flatMap(({ role }, place) => (role === 'assistant' ? [place] : []))
  const learned = answers.filter((place) => !unlearned.includes(place))
  if (learned.length === 0) throw new Refused('nothing-to-learn', 'It has no answer of the assistant that is to be learned.')
  if (learned.some((place) => messages[place]?.content.trim() === ''))
    throw new Refused('nothing-to-learn', 'An answer of the assistant is empty.')
  return { type: 'chat', messages, ...(learned.length === answers.length ? {} : { learned }) }
}

/** Chat templates have no place for answers to nothing. */
export function refuseWithoutQuestion(messages: readonly ChatMessage[]): void {
  const first = messages.find(({ role }) => role !== 'system')
  if (first === undefined) throw new Refused('nothing-to-learn', 'It has no messages of a user and the assistant.')
  if (first.role !== 'user')
    throw new Refused('wrong-shape', 'The first message after the system prompt must be one of the user.')
}
