import { addressOf } from '../shell/router.svelte.ts'
import { readPassageId } from './passage-reference.ts'

type Named = Readonly<{ id: string; name: string; is_own: boolean }>

/** What stands for a collection in an address: somebody else's may have the name of one's own. */
export const keyOf = ({ id, name, is_own }: Named): string => (is_own ? name : id)

export const addressOfCollection = (key: string): string => addressOf('documents', key)
export const addressOfDocument = (key: string, documentId: string): string => addressOf('documents', key, documentId)

/** Of a passage by the id that searches give; undefined where it belongs to no document. */
export function addressOfPassage(key: string, passageId: string): string | undefined {
  const reference = readPassageId(passageId)
  if (reference === undefined) return undefined
  return addressOf('documents', key, reference.documentId, String(reference.position))
}
