import type { ConversationItem } from '../../../src/conversations/schema.ts'

/** As the service lists them: pinned ones first, then what was said in last. */
export function compareItems(a: ConversationItem, b: ConversationItem): number {
  if (a.pinned !== b.pinned) return a.pinned ? -1 : 1
  return b.updated_at.localeCompare(a.updated_at) || b.id.localeCompare(a.id)
}

/**
 * Puts an item in its place of a list. Where the list goes on beyond what is loaded (`hasMore`), one that belongs there is left out, as it
 * comes with its page.
 */
export function placeItem(
  items: readonly ConversationItem[],
  item: ConversationItem,
  { hasMore }: Readonly<{ hasMore: boolean }>,
): readonly ConversationItem[] {
  const others = items.filter(({ id }) => id !== item.id)
  const at = others.findIndex((other) => compareItems(item, other) < 0)
  if (at === -1) return hasMore ? others : [...others, item]
  return others.toSpliced(at, 0, item)
}

/** A further page after what is there. An item that has moved in the meantime stands once. */
export function joinPages(items: readonly ConversationItem[], page: readonly ConversationItem[]): readonly ConversationItem[] {
  const known = new Set(items.map(({ id }) => id))
  return [...items, ...page.filter(({ id }) => !known.has(id))]
}

/** `month`: the first moment of it. */
export type GroupTime = Readonly<{ type: 'pinned' | 'today' | 'yesterday' | 'week' }> | Readonly<{ type: 'month'; month: Date }>
export type Group = Readonly<{ key: string; time: GroupTime; items: readonly ConversationItem[] }>

/** Items in their order, under the day, week or month in which something was said last. */
export function groupItems(items: readonly ConversationItem[], now: Date): readonly Group[] {
  const groups = new Map<string, { time: GroupTime; items: ConversationItem[] }>()
  for (const item of items) {
    const time: GroupTime = item.pinned ? { type: 'pinned' } : timeOf(new Date(item.updated_at), now)
    const key = time.type === 'month' ? `${time.month.getFullYear()}-${time.month.getMonth()}` : time.type
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { time, items: [item] })
    else group.items.push(item)
  }
  return [...groups].map(([key, group]) => ({ key, ...group }))
}

function timeOf(updated: Date, now: Date): GroupTime {
  const daysAgo = (days: number) => new Date(now.getFullYear(), now.getMonth(), now.getDate() - days)
  if (updated >= daysAgo(0)) return { type: 'today' }
  if (updated >= daysAgo(1)) return { type: 'yesterday' }
  if (updated >= daysAgo(7)) return { type: 'week' }
  return { type: 'month', month: new Date(updated.getFullYear(), updated.getMonth()) }
}
