import type { NewDocument, NewItem, NewPassage } from '../../src/embed/collection.ts'
import { createFakeModel, embeddersOf } from '../fake-models.ts'

export const killedOwner = 'user-ana'
/** Items that one transaction writes. */
export const batchSize = 70

export const killedModels = () => embeddersOf(createFakeModel(), createFakeModel({ name: 'next', dimensions: 24 }))

/** The items of one transaction: they share a word. Those under the same `name` have the same ids. */
export function batchOf(name: string, generation = 'first', items = name): readonly NewItem[] {
  return Array.from({ length: batchSize }, (_, index) => ({
    itemId: `${items}/${index}`,
    text: `${generation} ${name} item${index}`,
    metadata: { batch: name },
  }))
}

/** The one document, in the version of this name. */
export function documentOf(name: string): Readonly<{ document: NewDocument; chunks: readonly NewPassage[] }> {
  return {
    document: { name, source: 'the one', mediaType: 'text/plain', sha256: '', sizeBytes: 1 },
    chunks: Array.from({ length: 5 }, (_, index) => ({ text: `version ${name} chunk${index}`, metadata: { version: name } })),
  }
}
