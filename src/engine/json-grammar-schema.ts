import { arrayExpression, type Containing, objectExpression } from './json-grammar-containers.ts'
import { excludeEachOther, typeOfValue } from './json-grammar-exclusion.ts'
import { isJsonObject, type JsonObject, refuse, schemaLimits } from './json-grammar-limits.ts'
import { mergeObjects } from './json-grammar-merge.ts'
import { integerExpression, largestBoundedNumber, largestInteger, numberExpression } from './json-grammar-number.ts'
import { assertionsOf, findReferenced } from './json-grammar-reference.ts'
import { choice, type Expression, type GrammarRules, literal, reference } from './json-grammar-rules.ts'
import { anyString, stringExpression } from './json-grammar-string.ts'
import { anyOfTexts } from './json-grammar-trie.ts'

const keywordsOfType: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties', 'minProperties', 'maxProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  boolean: [],
  null: [],
}
const typeNames = Object.keys(keywordsOfType)
const typeKeywords = new Set(Object.values(keywordsOfType).flat())

/** Where a schema stands, and which references led there without anything being written in between. */
type Place = Readonly<{ pointer: string; open: ReadonlySet<string> }>
type Compiler = Containing &
  Readonly<{ root: unknown; compile: (schema: unknown, place: Place) => Expression | undefined; names: Map<string, string> }>

/** The grammar of a schema's values. Throws `invalid`, with place and keyword, for what is wrong or can't be enforced. */
export function compileSchema(rules: GrammarRules, root: unknown): Expression {
  let count = 0
  let nesting = 0
  const compiler: Compiler = {
    rules,
    root,
    names: new Map(),
    inside: (schema, pointer) => compiler.compile(schema, { pointer, open: new Set() }),
    compile(schema, place) {
      if (++count > schemaLimits.schemas) refuse(place.pointer, '', `is one of more than ${schemaLimits.schemas} schemas`)
      // References can lead deeper than the document is.
      if (++nesting > schemaLimits.nesting) refuse(place.pointer, '', `is more than ${schemaLimits.nesting} schemas deep`)
      const expression = compileAnything(compiler, schema, place)
      nesting--
      return expression
    },
  }
  return compiler.inside(root, '#') ?? refuse('#', '', 'allows no value')
}

function compileAnything(compiler: Compiler, schema: unknown, place: Place): Expression | undefined {
  if (schema === true) return anyValue(compiler.rules)
  if (schema === false) return undefined
  if (!isJsonObject(schema)) return refuse(place.pointer, '', 'must be a schema: an object, true or false')
  return compileObject(compiler, schema, place)
}

function anyValue(rules: GrammarRules): Expression {
  return rules.share('any', () => {
    const containing = { rules, inside: (schema: unknown) => (schema === false ? undefined : anyValue(rules)) }
    const object = rules.add('object', objectExpression(containing, {}, '#'))
    const array = rules.add('array', arrayExpression(containing, {}, '#'))
    const number = rules.add(
      'number',
      numberExpression({ min: undefined, max: undefined, exclusiveMin: false, exclusiveMax: false }) ?? literal('0'),
    )
    return choice([object, array, anyString(rules), number, literal('true'), literal('false'), literal('null')])
  })
}

function compileObject(compiler: Compiler, schema: JsonObject, place: Place): Expression | undefined {
  const keywords = assertionsOf(schema)
  const found = ['$ref', 'const', 'enum', 'allOf', 'anyOf', 'oneOf'].find((keyword) => keywords.includes(keyword))
  switch (found) {
    case '$ref':
      return compileReference(compiler, schema, place)
    case 'const':
    case 'enum':
      return compileValues(compiler, schema, place)
    case 'allOf':
      return compileAll(compiler, schema, place)
    case 'anyOf':
    case 'oneOf':
      return compileAny(compiler, schema, found, place)
    default:
      return compileTypes(compiler, schema, place)
  }
}

function onlyBeside(schema: JsonObject, keyword: string, allowed: readonly string[], pointer: string): void {
  const other = assertionsOf(schema).find((name) => name !== keyword && !allowed.includes(name))
  if (other !== undefined) refuse(pointer, other, `can't be enforced beside ${keyword}`)
}

function compileReference({ root, rules, names, compile }: Compiler, schema: JsonObject, { pointer, open }: Place): Expression {
  onlyBeside(schema, '$ref', [], pointer)
  const target = findReferenced(root, schema.$ref, pointer)
  if (open.has(target.pointer)) refuse(pointer, '$ref', 'leads back to itself')
  const known = names.get(target.pointer)
  if (known !== undefined) return reference(known)
  const name = rules.declare('definition')
  names.set(target.pointer, name)
  const expression = compile(target.schema, { pointer: target.pointer, open: new Set([...open, target.pointer]) })
  rules.define(name, expression ?? refuse(pointer, '$ref', 'leads to a schema that allows no value'))
  return reference(name)
}

function compileValues({ rules }: Compiler, schema: JsonObject, { pointer }: Place): Expression {
  const keyword = schema.const === undefined ? 'enum' : 'const'
  onlyBeside(schema, keyword, ['type'], pointer)
  const values: unknown = keyword === 'const' ? [schema.const] : schema.enum
  if (!Array.isArray(values) || values.length === 0) return refuse(pointer, 'enum', 'must be a list of at least one value')
  if (values.length > schemaLimits.enumValues) return refuse(pointer, 'enum', `has more than ${schemaLimits.enumValues} values`)
  const types = schema.type === undefined ? typeNames : readTypes(schema, pointer)
  const fitting = values.filter(
    (value) => types.includes(typeOfValue(value)) || (types.includes('integer') && Number.isInteger(value)),
  )
  if (fitting.length === 0) refuse(pointer, keyword, 'has no value of the type')
  return anyOfTexts(
    rules,
    fitting.map((value) => JSON.stringify(value)),
  )
}

function compileAll(compiler: Compiler, schema: JsonObject, place: Place): Expression | undefined {
  const { allOf } = schema
  if (!Array.isArray(allOf) || allOf.length === 0) return refuse(place.pointer, 'allOf', 'must be a list of at least one schema')
  if (allOf.length === 1 && assertionsOf(schema).length === 1)
    return compiler.compile(allOf[0], { ...place, pointer: `${place.pointer}/allOf/0` })
  return compileTypes(compiler, mergeObjects(compiler.root, { schema, pointer: place.pointer }), place)
}

function compileAny(compiler: Compiler, schema: JsonObject, keyword: 'anyOf' | 'oneOf', place: Place): Expression | undefined {
  const branches = schema[keyword]
  if (!Array.isArray(branches) || branches.length === 0)
    return refuse(place.pointer, keyword, 'must be a list of at least one schema')
  if (branches.length > schemaLimits.alternatives)
    return refuse(place.pointer, keyword, `has more than ${schemaLimits.alternatives} branches`)
  onlyBeside(schema, keyword, ['type'], place.pointer)
  const placed = branches.map((branch: unknown, index) => ({
    schema: withType(branch, schema, place.pointer),
    pointer: `${place.pointer}/${keyword}/${index}`,
  }))
  if (keyword === 'oneOf') {
    for (const [index, first] of placed.entries())
      for (const second of placed.slice(index + 1))
        if (!excludeEachOther(compiler.root, first, second))
          refuse(place.pointer, 'oneOf', 'has branches that may both fit; use anyOf')
  }
  const options = placed
    .map((branch) => compiler.compile(branch.schema, { ...place, pointer: branch.pointer }))
    .filter((option) => option !== undefined)
  return options.length === 0 ? undefined : choice(options)
}

/** A branch under a type that stands beside anyOf. */
function withType(branch: unknown, { type }: JsonObject, pointer: string): unknown {
  if (type === undefined || branch === false) return branch
  if (branch === true) return { type }
  if (!isJsonObject(branch) || branch.$ref !== undefined)
    return refuse(pointer, 'type', "can't be enforced beside these branches")
  if (branch.type === undefined || branch.type === type) return { ...branch, type }
  return Array.isArray(type) && type.includes(branch.type) ? branch : refuse(pointer, 'type', 'differs from the type of a branch')
}

function readTypes(schema: JsonObject, pointer: string): readonly string[] {
  const types: readonly unknown[] = Array.isArray(schema.type) ? schema.type : [schema.type]
  if (types.length === 0) refuse(pointer, 'type', 'must name at least one type')
  return types.map((type) =>
    typeof type === 'string' && typeNames.includes(type)
      ? type
      : refuse(pointer, 'type', `must be one of ${typeNames.join(', ')}`),
  )
}

/** Without `type`, the keywords tell which values are meant. */
function impliedTypes(schema: JsonObject): readonly string[] {
  const keywords = assertionsOf(schema)
  return ['object', 'array', 'string', 'number'].filter((type) =>
    keywordsOfType[type]?.some((keyword) => keywords.includes(keyword)),
  )
}

function compileTypes(compiler: Compiler, schema: JsonObject, place: Place): Expression {
  const unknownKeyword = assertionsOf(schema).find(
    (keyword) => keyword !== 'type' && !typeKeywords.has(keyword) && !allowsAll(schema, keyword),
  )
  if (unknownKeyword !== undefined) refuse(place.pointer, unknownKeyword, "is not supported, so it can't be enforced")
  const types = schema.type === undefined ? impliedTypes(schema) : readTypes(schema, place.pointer)
  if (types.length === 0) return anyValue(compiler.rules)
  // Each integer is a number, so that one of the two is enough.
  const distinct = types.filter((type) => type !== 'integer' || !types.includes('number'))
  return choice(distinct.map((type) => compiler.rules.add(type, compileType(compiler, type, schema, place))))
}

const allowsAll = (schema: JsonObject, keyword: string) =>
  (keyword === 'uniqueItems' && schema.uniqueItems === false) || (keyword === 'nullable' && schema.nullable === false)

function compileType(compiler: Compiler, type: string, schema: JsonObject, { pointer }: Place): Expression {
  switch (type) {
    case 'object':
      return objectExpression(compiler, schema, pointer)
    case 'array':
      return arrayExpression(compiler, schema, pointer)
    case 'string':
      return stringExpression(compiler.rules, schema, pointer)
    case 'integer':
    case 'number':
      return compileNumber(type, schema, pointer)
    case 'boolean':
      return choice([literal('true'), literal('false')])
    default:
      return literal('null')
  }
}

function compileNumber(type: 'integer' | 'number', schema: JsonObject, pointer: string): Expression {
  const limit = type === 'integer' ? largestInteger : largestBoundedNumber
  const read = (keyword: string): number | undefined => {
    const value = schema[keyword]
    if (value === undefined) return undefined
    if (typeof value !== 'number') return refuse(pointer, keyword, 'must be a number')
    if (type === 'number' && !Number.isInteger(value)) return refuse(pointer, keyword, 'must be a whole number')
    return value
  }
  const [minimum, above, maximum, below] = [read('minimum'), read('exclusiveMinimum'), read('maximum'), read('exclusiveMaximum')]
  const exclusiveMin = above !== undefined && above >= (minimum ?? above)
  const exclusiveMax = below !== undefined && below <= (maximum ?? below)
  const low = exclusiveMin ? above : minimum
  const high = exclusiveMax ? below : maximum
  if (low !== undefined && low > limit) refuse(pointer, exclusiveMin ? 'exclusiveMinimum' : 'minimum', `is more than ${limit}`)
  if (high !== undefined && high < -limit)
    refuse(pointer, exclusiveMax ? 'exclusiveMaximum' : 'maximum', `is less than ${-limit}`)
  // A limit that no answer reaches is as good as none.
  const min = low !== undefined && low < -limit ? -limit : low
  const max = high !== undefined && high > limit ? limit : high
  const expression =
    type === 'integer'
      ? integerExpression({ min: toWhole(min, exclusiveMin, 1), max: toWhole(max, exclusiveMax, -1) })
      : numberExpression({ min, max, exclusiveMin, exclusiveMax })
  return expression ?? refuse(pointer, 'maximum', 'leaves no number between the limits')
}

/** The first whole number inside a limit; `inward` is 1 for a lower limit and -1 for an upper one. */
function toWhole(limit: number | undefined, exclusive: boolean, inward: 1 | -1): number | undefined {
  if (limit === undefined) return undefined
  const inside = inward === 1 ? Math.ceil(limit) : Math.floor(limit)
  return exclusive && inside === limit ? limit + inward : inside
}
