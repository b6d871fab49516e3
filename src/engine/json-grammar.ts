import { AppError } from '../errors.ts'
import { checkSize, schemaLimits } from './json-grammar-limits.ts'
import { createGrammarRules, type Expression, type GrammarRules } from './json-grammar-rules.ts'
import { compileSchema } from './json-grammar-schema.ts'

/**
 * A GBNF grammar of which each text is JSON that the schema accepts. Not the other way round: properties come in the schema's
 * order, texts in JSON's shortest spelling, white space is at most one blank where JSON allows some.
 * Throws `invalid`, naming the place and keyword, for a schema that is not valid, can't be met or can't be enforced.
 */
export function jsonSchemaToGrammar(schema: unknown): string {
  return createGrammar((rules) => compileJson(rules, schema))
}

/** The values of a schema, as a part of a larger grammar. `root`: where its references lead. Throws like `jsonSchemaToGrammar`. */
export function compileJson(rules: GrammarRules, schema: unknown, root: unknown = schema): Expression {
  checkSize(schema)
  checkSize(root)
  return compileSchema(rules, schema, root)
}

/** The GBNF grammar of what `build` makes. Throws `invalid` when no finite text fits it, or when it is too large. */
export function createGrammar(build: (rules: GrammarRules) => Expression): string {
  const rules = createGrammarRules()
  const root = rules.add('value', build(rules))
  if (!rules.canEnd()) {
    throw new AppError('invalid', "The JSON schema can't be used: a part of it requires itself without end, so no value fits.")
  }
  const grammar = rules.toText(root)
  if (grammar.length > schemaLimits.grammarCharacters) {
    throw new AppError('invalid', "The JSON schema can't be used: it makes too large a grammar. Use fewer or shorter limits.")
  }
  return grammar
}

/** Any JSON object. */
export const jsonObjectGrammar: string = jsonSchemaToGrammar({ type: 'object' })
