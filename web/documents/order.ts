import type { CollectionItem } from '../../src/embed/schema.ts'
import { usualCollection } from './names.ts'

/** One's own usual collection, then one's own, then those of others, each by name. */
export function usualFirst(collections: readonly CollectionItem[]): readonly CollectionItem[] {
  const rank = ({ is_own, name }: CollectionItem) => (is_own ? (name === usualCollection ? 0 : 1) : 2)
  return collections.toSorted((one, other) => rank(one) - rank(other) || one.name.localeCompare(other.name))
}
