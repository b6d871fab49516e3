type Page<Item> = Readonly<{ items: readonly Item[]; next_cursor: string | null }>

/** A list that comes in pages. What is shown stays until something else has arrived. */
export function createPagedList<Item, Of extends Page<Item> = Page<Item>>(load: (cursor: string | undefined) => Promise<Of>) {
  let items = $state.raw<readonly Item[]>([])
  let lastPage = $state.raw<Of | undefined>(undefined)
  let failure = $state.raw<unknown>(undefined)
  let isLoading = $state(false)
  let turn = 0

  async function read(before: readonly Item[], cursor: string | undefined): Promise<void> {
    turn += 1
    const mine = turn
    isLoading = true
    failure = undefined
    try {
      const page = await load(cursor)
      if (mine !== turn) return
      items = [...before, ...page.items]
      lastPage = page
    } catch (error) {
      if (mine === turn) failure = error
    } finally {
      if (mine === turn) isLoading = false
    }
  }

  const restart = () => read([], undefined)
  const showMore = () => read(items, lastPage?.next_cursor ?? undefined)
  return {
    get items() {
      return items
    },
    /** The page that arrived last, for what it says of the whole. */
    get lastPage() {
      return lastPage
    },
    get failure() {
      return failure
    },
    get isLoading() {
      return isLoading
    },
    get hasMore() {
      return lastPage !== undefined && lastPage.next_cursor !== null
    },
    get isEmpty() {
      return lastPage !== undefined && items.length === 0
    },
    /** Begins anew, for example with other filters. */
    restart,
    showMore,
    /** Reads again what could not be read. */
    retry: () => (lastPage === undefined ? restart() : showMore()),
    change(update: (items: readonly Item[]) => readonly Item[]) {
      items = update(items)
    },
  }
}
