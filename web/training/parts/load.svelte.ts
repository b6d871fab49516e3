import type { Page } from '../../../src/client.ts'

/** Something that the service is asked for: what it last answered, and whether it failed since. */
export function createLoaded<Value>(ask: () => Promise<Value>) {
  let value = $state.raw<Value | undefined>(undefined)
  let failure = $state.raw<unknown>(undefined)
  let asked = 0

  return {
    get value() {
      return value
    },
    get failure() {
      return failure
    },
    set(next: Value) {
      asked += 1
      value = next
    },
    /** Never throws; an answer that was overtaken by a later one is dropped. */
    async reload(): Promise<void> {
      asked += 1
      const mine = asked
      try {
        const next = await ask()
        if (mine !== asked) return
        value = next
        failure = undefined
      } catch (error) {
        if (mine === asked) failure = error
      }
    },
  }
}
export type Loaded<Value> = ReturnType<typeof createLoaded<Value>>

/** A list that comes in pages. */
export function createPages<Item>(ask: (cursor: string | undefined) => Promise<Page<Item>>) {
  let items = $state.raw<readonly Item[] | undefined>(undefined)
  let cursor = $state.raw<string | undefined>(undefined)
  let failure = $state.raw<unknown>(undefined)
  let isLoading = $state(false)
  let asked = 0

  async function load(from: string | undefined): Promise<void> {
    asked += 1
    const mine = asked
    isLoading = true
    try {
      const page = await ask(from)
      if (mine !== asked) return
      items = from === undefined ? page.items : [...(items ?? []), ...page.items]
      cursor = page.next_cursor ?? undefined
      failure = undefined
    } catch (error) {
      if (mine === asked) failure = error
    } finally {
      if (mine === asked) isLoading = false
    }
  }

  return {
    get items() {
      return items
    },
    get hasMore() {
      return cursor !== undefined
    },
    get failure() {
      return failure
    },
    get isLoading() {
      return isLoading
    },
    reload: () => load(undefined),
    more: () => load(cursor),
  }
}
export type Pages<Item> = ReturnType<typeof createPages<Item>>

/** Runs something again and again while the page can be seen; the next time comes so long after the last has ended. */
export function everyWhileVisible(ms: number, run: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let isOver = false
  const again = () => {
    clearTimeout(timer)
    if (!isOver) timer = setTimeout(step, ms)
  }
  const step = async () => {
    if (!document.hidden) await run()
    again()
  }
  const onVisible = () => {
    if (!document.hidden) void step()
  }
  document.addEventListener('visibilitychange', onVisible)
  again()
  return () => {
    isOver = true
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', onVisible)
  }
}
