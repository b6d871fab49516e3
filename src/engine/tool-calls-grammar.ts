import { AppError } from '../errors.ts'
import { atField, compileFormat } from './answer-format.ts'
import type { CallSyntax } from './chat-format.ts'
import { compileJson, createGrammar } from './json-grammar.ts'
import { isJsonObject, type JsonObject, refuse } from './json-grammar-limits.ts'
import { mergeSchemas } from './json-grammar-merge.ts'
import { assertionsOf } from './json-grammar-reference.ts'
import {
  characters,
  choice,
  type Expression,
  type GrammarRules,
  literal,
  nothing,
  optional,
  repeat,
  sequence,
} from './json-grammar-rules.ts'
import { anyOfTexts } from './json-grammar-trie.ts'
import { textWithout } from './json-grammar-without.ts'
import type { AnswerFormat, Tool, Tools } from './provider.ts'
import { isPlainText } from './tool-calls-tagged.ts'

/**
 * What an answer is kept to: `grammar` from its start, or from where it holds `grammarAfter` (each time again if it repeats), without
 * which it may not end where it is required.
 */
export type AnswerConstraint = Readonly<{
  grammar?: string
  grammarAfter?: string
  grammarRepeats?: boolean
  grammarRequired?: boolean
}>

export type ConstrainedAnswer = Readonly<{
  syntax: CallSyntax
  /** Absent where no tools are offered. */
  tools: Tools | undefined
  format: AnswerFormat | undefined
  /** The mark that ends the reasoning with which the answer begins; undefined: it begins otherwise. */
  reasoningEnd: string | undefined
}>

/**
 * What keeps an answer to the offered functions, to their arguments' schemas and to its format. Throws `invalid` for a schema that
 * cannot be kept to, with the tool's name; its place is the tool's `field`, and then a JSON pointer.
 */
export function constrainAnswer({ syntax, tools, format, reasoningEnd }: ConstrainedAnswer): AnswerConstraint {
  const isFree = format === undefined && tools?.choice === 'auto'
  const after = reasoningEnd === undefined ? {} : { grammarAfter: reasoningEnd, ...(isFree ? {} : { grammarRequired: true }) }
  // Where nothing stands before an answer in JSON, it begins with JSON.
  const hasLead = reasoningEnd !== undefined || format === undefined
  const whole = (build: (rules: GrammarRules) => Expression) => ({
    grammar: createGrammar((rules) => sequence(hasLead ? lead(rules) : nothing, build(rules))),
    ...after,
  })
  if (tools === undefined) return format === undefined ? {} : whole((rules) => compileFormat(rules, format))
  const offered = { syntax, parallel: tools.parallel, tools: callable(tools) }
  if (tools.choice !== 'auto') return whole((rules) => callsExpression(rules, offered))
  if (format !== undefined) return whole((rules) => choice([callsExpression(rules, offered), compileFormat(rules, format)]))
  if (syntax.type === 'bare') return whole((rules) => choice([callsExpression(rules, offered), otherText(rules), nothing]))
  const repeats = tools.parallel && !(syntax.type === 'json' && syntax.isList)
  return {
    grammar: createGrammar((rules) => callExpression(rules, offered, false)),
    grammarAfter: syntax.open,
    ...(repeats ? { grammarRepeats: true } : {}),
  }
}

type Offered = Readonly<{ syntax: CallSyntax; tools: readonly PlacedTool[]; parallel: boolean }>
/** A tool and its number among all. */
type PlacedTool = Readonly<{ tool: Tool; place: number }>

function callable({ tools, choice: chosen }: Tools): readonly PlacedTool[] {
  const placed = tools.map((tool, place) => ({ tool, place }))
  return typeof chosen === 'string' ? placed : placed.filter(({ tool }) => tool.name === chosen.name)
}

/** The white space with which answers begin. */
const lead = (rules: GrammarRules) => rules.add('lead', repeat(characters(' ', '\n'), 0, 2))
/** Text that no object begins. */
const otherText = (rules: GrammarRules) =>
  sequence(
    characters([1, 8], [0x0e, 0x1f], [0x21, 0x7a], [0x7c, 0x10ffff]),
    repeat(rules.share('any-text', anyCharacter), 0, undefined),
  )
const anyCharacter = () => characters([1, 0x10ffff])
const line = optional(literal('\n'))

function callsExpression(rules: GrammarRules, offered: Offered): Expression {
  const one = rules.add('call', callExpression(rules, offered, true))
  const { syntax } = offered
  // A model of the bare form does not know where to stop: one call is enough.
  const isOne = !offered.parallel || syntax.type === 'bare' || (syntax.type === 'json' && syntax.isList)
  return isOne ? one : sequence(one, repeat(rules.add('next-call', sequence(line, one)), 0, undefined))
}

/** What one opening mark brings: a call, or a list of them. */
function callExpression(rules: GrammarRules, { syntax, tools, parallel }: Offered, withMark: boolean): Expression {
  const open = withMark && syntax.type !== 'bare' ? literal(syntax.open) : nothing
  switch (syntax.type) {
    case 'bare':
      return objectExpression(rules, syntax.argumentsKey, tools)
    case 'json': {
      const object = rules.add('object', objectExpression(rules, syntax.argumentsKey, tools))
      if (!syntax.isList) return sequence(open, line, object, line, literal(syntax.close))
      const more = rules.add('more', sequence(literal(', '), object))
      const list = parallel ? sequence(object, repeat(more, 0, undefined)) : object
      return sequence(open, optional(literal(' ')), literal('['), list, literal(`]${syntax.close}`))
    }
    case 'named': {
      const calls = tools.map((placed) =>
        sequence(literal(`${placed.tool.name}${syntax.nameEnd}`), argumentsExpression(rules, placed)),
      )
      return sequence(open, choice(calls), literal(syntax.close))
    }
    case 'tagged':
      return sequence(open, line, choice(tools.map((placed) => taggedCall(rules, placed))), line, literal(syntax.close))
  }
}

function objectExpression(rules: GrammarRules, key: string, tools: readonly PlacedTool[]): Expression {
  const rest = tools.map((placed) =>
    sequence(literal(`${JSON.stringify(placed.tool.name)}, "${key}": `), argumentsExpression(rules, placed)),
  )
  return sequence(literal('{"name": '), choice(rest), literal('}'))
}

/** Says of parameters that cannot be kept to whose they are, and where: `within`, after the place of the whole schema. */
function atParameters<T>({ tool, place }: PlacedTool, compile: () => T, within = ''): T {
  try {
    return atField(`${tool.field ?? `tools/${place}/parameters`}${within}`, compile)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const { code, message, details = [] } = error
    throw new AppError(code, `The parameters of the tool "${tool.name}" can't be kept to. ${message}`, { cause: error, details })
  }
}

const argumentsExpression = (rules: GrammarRules, placed: PlacedTool): Expression =>
  rules.share(`arguments ${placed.place}`, () =>
    atParameters(placed, () => compileJson(rules, argumentsSchema(placed.tool.parameters))),
  )

/** A schema of objects, and of the empty one alone where it has no properties: models make some up. */
function argumentsSchema(parameters: unknown): unknown {
  if (parameters === undefined || parameters === null) return { type: 'object', properties: {}, additionalProperties: false }
  if (!isJsonObject(parameters)) return parameters
  const { properties, additionalProperties } = parameters
  const isEmpty = isJsonObject(properties) && Object.keys(properties).length === 0
  const closed = isEmpty && additionalProperties === undefined ? { additionalProperties: false } : {}
  const isPlain = ['$ref', 'anyOf', 'oneOf', 'allOf', 'const', 'enum'].every((keyword) => parameters[keyword] === undefined)
  return isPlain ? { ...parameters, type: parameters.type ?? 'object', ...closed } : parameters
}

const keptInTags = ['type', 'properties', 'required', 'additionalProperties', 'unevaluatedProperties']

/** Parameters in the order of the schema. Texts are free where nothing is said of them, as JSON's rules do not fit what is no JSON. */
function taggedCall(rules: GrammarRules, placed: PlacedTool): Expression {
  const { tool } = placed
  const root = tool.parameters ?? {}
  const { properties, required } = atParameters(placed, () => readParameters(root))
  const parameters = Object.entries(properties).map(([name, property]) => {
    if (property === false) return nothing
    const value = isPlainText(tool, name)
      ? plainValue(rules, property)
      : atParameters(placed, () => compileJson(rules, property, root), `/properties/${name}`)
    const written = rules.add('parameter', sequence(literal(`<parameter=${name}>\n`), value, literal('\n</parameter>\n')))
    return required.includes(name) ? written : optional(written)
  })
  return sequence(literal(`<function=${tool.name}>\n`), ...parameters, literal('</function>'))
}

/** Throws `invalid` where the schema says more of all parameters together than tags, one after the other, can keep to. */
function readParameters(root: unknown): { properties: JsonObject; required: readonly unknown[] } {
  const merged = mergeSchemas(root, [{ schema: root, pointer: '#' }], '#')
  if (merged === false) return refuse('#', '', 'allows no value')
  const schema = merged === true ? {} : merged
  const other = assertionsOf(schema).find((keyword) => !keptInTags.includes(keyword))
  if (other !== undefined) refuse('#', other, "can't be enforced in the way in which this model writes its calls")
  const { type = 'object', properties = {}, required = [] } = schema
  if (type !== 'object' && !(Array.isArray(type) && type.includes('object'))) refuse('#', 'type', 'must be "object"')
  if (!isJsonObject(properties)) return refuse('#', 'properties', 'must be an object')
  if (!Array.isArray(required)) return refuse('#', 'required', 'must be a list of property names')
  const missing: unknown = required.find((name: string) => !Object.hasOwn(properties, name) || properties[name] === false)
  if (missing !== undefined) refuse('#', 'required', `needs "${String(missing)}", which is not among the properties`)
  return { properties, required }
}

function plainValue(rules: GrammarRules, property: unknown): Expression {
  const values: unknown = isJsonObject(property) ? property.enum : undefined
  return Array.isArray(values) ? anyOfTexts(rules, values.map(String)) : textWithout(rules, '\n</parameter>')
}
