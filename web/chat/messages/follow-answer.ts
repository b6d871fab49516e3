import type { MessageEvent } from '../../../src/conversations/schema.ts'
import { isPassing, pauseAfter } from '../../shell/pauses.ts'
import { pause } from '../../ui/pause.ts'
import type { ShownMessage } from './shown-message.svelte.ts'

export type Follow = (messageId: string, signal: AbortSignal) => AsyncIterable<MessageEvent>

/**
 * Shows an answer as it is written, to its end. Where the connection goes away it says so and asks again, with growing pauses; the
 * service then tells all that is there. Throws what does not pass by itself.
 */
export async function followAnswer(answer: ShownMessage, follow: Follow, signal: AbortSignal): Promise<void> {
  for (let failed = 0; !signal.aborted; ) {
    try {
      for await (const event of follow(answer.message.id, signal)) {
        if (signal.aborted) return
        failed = 0
        answer.apply(event)
      }
      return
    } catch (error) {
      if (signal.aborted) return
      if (!isPassing(error)) throw error
      failed += 1
      answer.wait('connection')
      await pause(pauseAfter(failed), signal)
    }
  }
}
