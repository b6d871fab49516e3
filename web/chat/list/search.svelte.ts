import type { ConversationItem } from '../../../src/conversations/schema.ts'
import { service } from '../../shell/service.ts'
import { joinPages } from './order.ts'

const pauseMs = 200

/** A search through the conversations while it is typed. To be made while a component is. */
export function createSearch() {
  let typed = $state('')
  let hits = $state.raw<readonly ConversationItem[]>([])
  /** What the hits were searched with. */
  let searched = $state('')
  let nextCursor = $state<string | null>(null)
  let failure = $state.raw<unknown>(undefined)
  let round = $state(0)
  const words = $derived(typed.trim())

  async function ask(search: string, cursor: string | undefined, isWanted: () => boolean): Promise<void> {
    try {
      const page = await service.conversations({ search, ...(cursor === undefined ? {} : { cursor }) })
      if (!isWanted()) return
      hits = cursor === undefined ? page.items : joinPages(hits, page.items)
      nextCursor = page.next_cursor
      searched = search
      failure = undefined
    } catch (error) {
      if (isWanted()) failure = error
    }
  }

  $effect(() => {
    const search = words
    void round
    let isWanted = true
    const timer = search === '' ? undefined : setTimeout(() => void ask(search, undefined, () => isWanted), pauseMs)
    return () => {
      isWanted = false
      clearTimeout(timer)
    }
  })

  return {
    get typed() {
      return typed
    },
    set typed(text: string) {
      typed = text
    },
    get isActive() {
      return words !== ''
    },
    /** Whether the answer to what is typed is still on its way. */
    get isBusy() {
      return words !== '' && searched !== words && failure === undefined
    },
    get searched() {
      return searched
    },
    get hits() {
      return hits
    },
    get hasMore() {
      return nextCursor !== null
    },
    get failure() {
      return failure
    },
    more: () => {
      const search = words
      return ask(search, nextCursor ?? undefined, () => search === words)
    },
    again() {
      failure = undefined
      round += 1
    },
    change(changed: ConversationItem) {
      hits = hits.map((item) => (item.id === changed.id ? { ...changed, excerpt: item.excerpt } : item))
    },
    remove(id: string) {
      hits = hits.filter((item) => item.id !== id)
    },
  }
}

export type Search = ReturnType<typeof createSearch>
