import { AppError } from '../errors.ts'
import { compileJson, createGrammar, jsonObjectGrammar } from './json-grammar.ts'
import type { Expression, GrammarRules } from './json-grammar-rules.ts'
import type { AnswerFormat } from './provider.ts'

/**
 * The GBNF grammar of the answers that have this format. Throws `invalid` for a schema that is wrong or cannot be kept to, with the
 * place in the request where it is at fault.
 */
export function grammarOf(format: AnswerFormat): string {
  if (format.type === 'json-object') return jsonObjectGrammar
  return atField(format.field, () => createGrammar((rules) => compileJson(rules, format.schema)))
}

/** The same as a part of a larger grammar. Throws like `grammarOf`. */
export function compileFormat(rules: GrammarRules, format: AnswerFormat): Expression {
  return format.type === 'json-object'
    ? compileJson(rules, { type: 'object' })
    : atField(format.field, () => compileJson(rules, format.schema))
}

/** Says of a schema that cannot be kept to where the request holds it: `field`, and the place inside the schema after it. */
export function atField<T>(field: string, compile: () => T): T {
  try {
    return compile()
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const [detail = { field: '#', expected: 'a JSON schema that can be kept to', got: 'another' }] = error.details ?? []
    // The place inside the schema is a JSON pointer, the place of the schema in the request a path.
    throw new AppError(error.code, error.message, {
      cause: error,
      details: [{ ...detail, field: `${field}${detail.field.slice(1)}` }],
    })
  }
}
