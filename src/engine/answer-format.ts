import { AppError } from '../errors.ts'
import { jsonObjectGrammar, jsonSchemaToGrammar } from './json-grammar.ts'
import type { AnswerFormat } from './provider.ts'

/**
 * The GBNF grammar of the answers that have this format. Throws `invalid` for a schema that is wrong or cannot be kept to, with the
 * place in the request where it is at fault.
 */
export function grammarOf(format: AnswerFormat): string {
  if (format.type === 'json-object') return jsonObjectGrammar
  try {
    return jsonSchemaToGrammar(format.schema)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const [detail = { field: '#', expected: 'a JSON schema that can be kept to', got: 'another' }] = error.details ?? []
    // The place inside the schema is a JSON pointer, the place of the schema in the request a path.
    const field = `${format.field}${detail.field.slice(1)}`
    throw new AppError(error.code, error.message, { cause: error, details: [{ ...detail, field }] })
  }
}
