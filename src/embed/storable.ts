import { AppError } from '../errors.ts'
import type { NewPassage } from './collection.ts'

/** Far below what the JSON functions of the database stop at (1,000). */
const deepestMetadata = 32

/**
 * Throws `invalid` for what the database would not give back as it came: half a surrogate pair has no UTF-8. `field` names the passage
 * in the message.
 */
export function refuseUnstorable({ text, metadata, place }: NewPassage, field: string): void {
  if (text === '') refuse(`${field}.text`, 'a text of at least one character', 'an empty text')
  for (const [name, value] of [['text', text] as const, ['section', place?.section ?? ''] as const]) {
    if (!value.isWellFormed()) refuse(`${field}.${name}`, 'whole Unicode characters', 'half a surrogate pair')
  }
  if (metadata !== undefined && !isNoDeeper(metadata, deepestMetadata)) {
    refuse(`${field}.metadata`, `an object of at most ${deepestMetadata} levels`, 'a deeper one')
  }
}

export function refuse(field: string, expected: string, got: string): never {
  throw new AppError('invalid', `"${field}" must be ${expected}, but is ${got}.`, { details: [{ field, expected, got }] })
}

function isNoDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  return levels > 0 && Object.values(value).every((inner) => isNoDeeper(inner, levels - 1))
}
