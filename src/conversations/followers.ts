import type { KeptMessage } from './message-rows.ts'
import type { MessageEvent } from './schema.ts'

/** As `MessageEvent`, but for what only the database knows of the message. */
export type RunEvent =
  | Exclude<MessageEvent, { type: 'snapshot' | 'end' }>
  | Readonly<{ type: 'snapshot'; message: KeptMessage }>
  | Readonly<{ type: 'end'; message: KeptMessage }>

/** Those who are told what happens to an answer. None of them holds it back: what one has not read yet is joined where it can be. */
export function createFollowers() {
  const followers = new Set<(event: RunEvent) => void>()
  return {
    tell(event: RunEvent): void {
      for (const push of followers) push(event)
    },
    /** From now on, after what is told `first`, up to `end`; or until `signal` says that nobody listens. */
    follow(first: readonly RunEvent[], signal: AbortSignal): AsyncGenerator<RunEvent> {
      const unread = [...first]
      let woken = Promise.withResolvers<void>()
      const wake = () => woken.resolve()
      const push = (event: RunEvent) => {
        if (!joined(unread, event)) unread.push(event)
        wake()
      }
      followers.add(push)
      signal.addEventListener('abort', wake, { once: true })
      async function* read(): AsyncGenerator<RunEvent> {
        try {
          while (!signal.aborted) {
            for (let event = unread.shift(); event !== undefined; event = unread.shift()) {
              yield event
              if (event.type === 'end') return
            }
            await woken.promise
            woken = Promise.withResolvers()
          }
        } finally {
          followers.delete(push)
          signal.removeEventListener('abort', wake)
        }
      }
      return read()
    },
  }
}

/** Whether a piece was added to the one before it, which is not read yet. */
function joined(unread: RunEvent[], event: RunEvent): boolean {
  const last = unread.at(-1)
  if (last === undefined || !('text' in event) || !('text' in last) || last.type !== event.type) return false
  if (event.type === 'tool-arguments' && (last.type !== 'tool-arguments' || last.index !== event.index)) return false
  unread[unread.length - 1] = { ...event, text: last.text + event.text }
  return true
}
