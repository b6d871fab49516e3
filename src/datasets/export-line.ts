import type { ChatMessage } from '../engine/provider.ts'
import type { TrainingExample } from '../engine/train/example.ts'
import { unreachable } from '../errors.ts'

/**
 * An example in the form in which datasets are exported, without a line break: `{"messages"}` as OpenAI has it, with `weight` 0 at
 * answers that are not learned; `{"text"}`; `{"prompt","chosen","rejected"}` with lists of messages as TRL has it. Each of them has
 * `weight` where it is not 1. Reading such a line gives the same example.
 */
export function exportLine(example: TrainingExample): string {
  const weight = example.weight === undefined ? {} : { weight: example.weight }
  switch (example.type) {
    case 'chat': {
      const { messages, learned } = example
      return JSON.stringify({
        messages: messages.map((message, place) => toMessage(message, isLeftOut(place, learned))),
        ...weight,
      })
    }
    case 'text':
      return JSON.stringify({ text: example.text, ...weight })
    case 'preference': {
      const { messages, chosen, rejected } = example
      const answer = (content: string) => [{ role: 'assistant', content }]
      const prompt = messages.map((message) => toMessage(message, false))
      return JSON.stringify({ prompt, chosen: answer(chosen), rejected: answer(rejected), ...weight })
    }
    default:
      return unreachable(example)
  }
}

const isLeftOut = (place: number, learned: readonly number[] | undefined) => learned !== undefined && !learned.includes(place)

function toMessage({ role, content }: ChatMessage, isLeftOut: boolean) {
  return { role, content, ...(role === 'assistant' && isLeftOut ? { weight: 0 } : {}) }
}
