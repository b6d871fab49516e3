import { hash } from 'node:crypto'

export type Group = Readonly<{
  /** Of all groups with the same content the same, whatever their order. */
  key: string
  rows: number
  conversations: number
}>

/** From so many conversations on there is something held out, however small the share. */
const fewestConversations = 10

/**
 * Which groups are held out: those that come first by a hash of the seed and their key, as long as they fit into the share. The same
 * groups and seed give the same; a group that is added moves few others. One group at least is left to learn from.
 */
export function drawHeldOut(
  groups: readonly Group[],
  { share, seed }: Readonly<{ share: number; seed: number }>,
): ReadonlySet<string> {
  const drawn = new Set<string>()
  if (share === 0 || groups.length < 2) return drawn
  const order = (key: string) => hash('sha256', `${seed} ${key}`, 'hex')
  const sorted = groups
    .map((group) => ({ ...group, order: order(group.key) }))
    .toSorted((one, other) => compare(one.order, other.order))
  const rows = groups.reduce((sum, group) => sum + group.rows, 0)
  const room = share * rows
  let heldOut = 0
  for (const { key, rows: size } of sorted) {
    if (heldOut + size > room || drawn.size === groups.length - 1) continue
    drawn.add(key)
    heldOut += size
  }
  const conversations = groups.reduce((sum, group) => sum + group.conversations, 0)
  if (drawn.size > 0 || conversations < fewestConversations) return drawn
  const smallest = sorted.reduce((best, group) => (group.rows < best.rows ? group : best))
  return new Set([smallest.key])
}

/** Of hashes that differ. */
const compare = (one: string, other: string) => (one < other ? -1 : 1)
