import { keywordSchemas } from './json-schemas-keywords.ts'
import { realSchemas } from './json-schemas-real.ts'

export type NamedSchema = readonly [name: string, schema: Readonly<Record<string, unknown>>]

/** Schemas that answers can be kept to, more than two hundred: shapes of real life, and each keyword by itself and with others. */
export const namedSchemas: readonly NamedSchema[] = [...realSchemas, ...keywordSchemas]
