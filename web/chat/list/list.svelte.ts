import type { ConversationItem, ConversationsPage } from '../../../src/conversations/schema.ts'
import { service } from '../../shell/service.ts'
import { joinPages, placeItem } from './order.ts'

let items = $state.raw<readonly ConversationItem[]>([])
/** Undefined: nothing is known yet; null: there are no more. */
let nextCursor = $state<string | null | undefined>(undefined)
let isBusy = $state(false)
let failure = $state.raw<unknown>(undefined)
let owner: string | undefined
/** Counts what makes answers that are still on their way worthless. */
let generation = 0
/** What has changed while a page was on its way, which may not know it. Undefined: it was removed. */
let changes = new Map<string, ConversationItem | undefined>()

export const conversationItems = (): readonly ConversationItem[] => items
export const isListKnown = (): boolean => nextCursor !== undefined
export const hasMoreItems = (): boolean => typeof nextCursor === 'string'
export const isListLoading = (): boolean => isBusy
export const listFailure = (): unknown => failure

/** Loads the first page for somebody (undefined: a visitor). What belongs to somebody else is forgotten. */
export async function loadList(user: string | undefined): Promise<void> {
  if (user !== owner) {
    items = []
    nextCursor = undefined
  }
  owner = user
  generation += 1
  await load(undefined)
}

export async function loadMore(): Promise<void> {
  if (typeof nextCursor === 'string' && !isBusy) await load(nextCursor)
}

/** Once more what failed. */
export async function retryList(): Promise<void> {
  await load(typeof nextCursor === 'string' ? nextCursor : undefined)
}

async function load(cursor: string | undefined): Promise<void> {
  const asked = generation
  changes = new Map()
  isBusy = true
  failure = undefined
  try {
    const page: ConversationsPage = await service.conversations(cursor === undefined ? {} : { cursor })
    if (asked !== generation) return
    // A first page replaces all: what was loaded beyond it may have changed, too.
    items = cursor === undefined ? page.items : joinPages(items, page.items)
    nextCursor = page.next_cursor
    for (const [id, changed] of changes)
      if (changed === undefined) drop(id)
      else place(changed)
  } catch (error) {
    if (asked === generation) failure = error
  } finally {
    if (asked === generation) isBusy = false
  }
}

/** Shows a conversation that has just begun or changed in its place of the list. */
export function noteConversation(changed: Omit<ConversationItem, 'excerpt'>): void {
  const { id, title, pinned, created_at, updated_at } = changed
  const item: ConversationItem = { id, title, pinned, created_at, updated_at, excerpt: null }
  changes.set(id, item)
  place(item)
}

export function forgetConversation(removed: string): void {
  changes.set(removed, undefined)
  drop(removed)
}

function place(item: ConversationItem): void {
  items = placeItem(items, item, { hasMore: hasMoreItems() })
}

function drop(removed: string): void {
  items = items.filter(({ id }) => id !== removed)
}
