/** Where a passage stands: the service calls a document's passages `DOCUMENT#POSITION`. */
export type PassageReference = Readonly<{ documentId: string; position: number }>

/** Undefined for a text that was added without a document. */
export function readPassageId(id: string): PassageReference | undefined {
  const [, documentId, position] = /^([0-9a-f-]{36})#(\d+)$/.exec(id) ?? []
  return documentId === undefined ? undefined : { documentId, position: Number(position) }
}

/** The first of the passages that are shown with this one. */
export const firstOfPage = (position: number, size: number): number => Math.floor(Math.max(0, position) / size) * size

/** How near a passage is to a question, for people; the borders suit all-MiniLM-L6-v2. */
export function nearness(cosine: number): 'veryNear' | 'near' | 'remote' | 'far' {
  if (cosine >= 0.6) return 'veryNear'
  if (cosine >= 0.4) return 'near'
  return cosine >= 0.25 ? 'remote' : 'far'
}
