import type { GenerateEvent } from '../engine/provider.ts'
import { formatEvent } from '../http/event-stream.ts'
import { toUsageBody } from './openai-usage.ts'

/** What all chunks of one stream share. */
export type ChunkHead = Readonly<{
  id: string
  object: string
  created: number
  model: string
  /** Stands in the last chunks only: those that end a choice, and the one with the usage. */
  metadata?: Readonly<Record<string, string>>
}>

export type ChoiceEvent = Exclude<GenerateEvent, { type: 'generation-end' }>

/** How one endpoint writes an event: as the `choices[0]` of as many chunks. */
export type WriteChoices = (event: ChoiceEvent) => readonly object[]

/**
 * The events of a generation as server-sent events of chat or completions; several choices interleave. The last one is [DONE],
 * and only where the generation came to its end.
 */
export async function* toChunks(
  events: AsyncIterable<GenerateEvent>,
  { metadata, ...head }: ChunkHead,
  write: WriteChoices,
  includeUsage: boolean,
): AsyncGenerator<string> {
  const told = metadata === undefined ? {} : { metadata }
  const chunk = (choice: object, isLast: boolean) =>
    formatEvent(JSON.stringify({ ...head, choices: [choice], ...(includeUsage ? { usage: null } : {}), ...(isLast ? told : {}) }))
  for await (const event of events) {
    if (event.type === 'generation-end') {
      if (includeUsage) yield formatEvent(JSON.stringify({ ...head, choices: [], usage: toUsageBody(event.usage), ...told }))
      yield formatEvent('[DONE]')
    } else {
      const choices = write(event)
      const isEnd = event.type === 'choice-end'
      const frames = choices.map((choice, place) => chunk(choice, isEnd && place === choices.length - 1)).join('')
      if (frames !== '') yield frames
    }
  }
}
