import type { PromptPart } from './chat-template-tokens.ts'
import type { ChatMessage } from './provider.ts'

const labels = { user: 'User', assistant: 'Assistant', tool: 'Tool' } as const

/** Where a model without a chat template would go on with the other side's turn; stop strings of each such answer. */
export const plainChatStops: readonly string[] = ['\nUser:', '\nAssistant:']

// A line that looks like a turn moves in by one space, so that nobody can write the other side's turns.
const withoutTurns = (text: string) => text.replaceAll(/^(?=(?:User|Assistant):)/gm, ' ')

/**
 * The prompt of a conversation for a base model, which has no chat template: a transcript that it continues.
 * Nothing in it is a control token. Use `plainChatStops` with it.
 */
export function renderPlainChat(messages: readonly ChatMessage[]): readonly PromptPart[] {
  const turns = messages.map(({ role, content }) =>
    role === 'system' ? content.trim() : `${labels[role]}: ${withoutTurns(content.trim())}`,
  )
  const last = messages.at(-1)
  // An answer that is begun ends as it was typed: its last blank may stand between two words.
  const lines =
    last?.role === 'assistant'
      ? [...turns.slice(0, -1), `${labels.assistant}: ${withoutTurns(last.content.trimStart())}`]
      : [...turns, `${labels.assistant}:`]
  return [{ text: lines.join('\n'), special: false }]
}
