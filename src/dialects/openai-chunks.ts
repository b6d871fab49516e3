import type { GenerateEvent } from '../engine/provider.ts'
import { formatEvent } from '../http/event-stream.ts'
import { toUsageBody } from './openai-usage.ts'

/** What all chunks of one stream share. */
export type ChunkHead = Readonly<{ id: string; object: string; created: number; model: string }>

export type ChoiceEvent = Exclude<GenerateEvent, { type: 'generation-end' }>

/** How one endpoint writes an event: as the `choices[0]` of as many chunks. */
export type WriteChoices = (event: ChoiceEvent) => readonly object[]

/**
 * The events of a generation as server-sent events of chat or completions; several choices interleave. The last one is [DONE],
 * and only where the generation came to its end.
 */
export async function* toChunks(
  events: AsyncIterable<GenerateEvent>,
  head: ChunkHead,
  write: WriteChoices,
  includeUsage: boolean,
): AsyncGenerator<string> {
  const chunk = (choice: object) =>
    formatEvent(JSON.stringify({ ...head, choices: [choice], ...(includeUsage ? { usage: null } : {}) }))
  for await (const event of events) {
    if (event.type === 'generation-end') {
      if (includeUsage) yield formatEvent(JSON.stringify({ ...head, choices: [], usage: toUsageBody(event.usage) }))
      yield formatEvent('[DONE]')
    } else {
      const frames = write(event).map(chunk).join('')
      if (frames !== '') yield frames
    }
  }
}
