import type { PullEvent } from './download-events.ts'

/** Events that are pushed on one side and read, once, on the other. Progress that nobody has read yet gives way to the next. */
export interface EventFeed {
  push(event: PullEvent): void
  /** Ends the reading, after what was pushed; with an error, by throwing it. */
  end(error?: unknown): void
  read(): AsyncGenerator<PullEvent, void, undefined>
}

export function createEventFeed(): EventFeed {
  const events: PullEvent[] = []
  let ended: Readonly<{ error: unknown }> | undefined
  let wake = () => {}

  async function* read(): AsyncGenerator<PullEvent, void, undefined> {
    for (;;) {
      const event = events.shift()
      if (event !== undefined) {
        yield event
        continue
      }
      if (ended?.error !== undefined) throw ended.error
      if (ended !== undefined) return
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }

  return {
    push(event) {
      if (event.type === 'download-progress' && events.at(-1)?.type === 'download-progress') events.pop()
      events.push(event)
      wake()
    },
    end(error) {
      ended ??= { error }
      wake()
    },
    read,
  }
}
