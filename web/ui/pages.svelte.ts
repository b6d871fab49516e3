type Page<Item> = Readonly<{ items: readonly Item[]; next_cursor: string | null }>

/** A list that comes in pages. What is shown stays until something else has arrived. */
export function createPages<Of extends Page<unknown>>(load: (cursor: string | undefined) => Promise<Of>) {
  type Item = Of['items'][number]
  let items = $state.raw<readonly Item[] | undefined>(undefined)
  let lastPage = $state.raw<Of | undefined>(undefined)
  let failure = $state.raw<unknown>(undefined)
  let isLoading = $state(false)
  let turn = 0

  async function read(before: readonly Item[], cursor: string | undefined): Promise<void> {
    turn += 1
    const mine = turn
    isLoading = true
    try {
      const page = await load(cursor)
      if (mine !== turn) return
      items = [...before, ...page.items]
      lastPage = page
      failure = undefined
    } catch (error) {
      if (mine === turn) failure = error
    } finally {
      if (mine === turn) isLoading = false
    }
  }

  const reload = () => read([], undefined)
  const more = () => read(items ?? [], lastPage?.next_cursor ?? undefined)
  return {
    /** Undefined until the first page has come. */
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
    /** Begins anew, for example with other filters. Never throws; an answer that was overtaken by a later one is dropped. */
    reload,
    more,
    /** Reads again what could not be read. */
    retry: () => (lastPage === undefined ? reload() : more()),
    change(update: (items: readonly Item[]) => readonly Item[]) {
      items = update(items ?? [])
    },
  }
}
export type Pages<Item> = ReturnType<typeof createPages<Page<Item>>>
