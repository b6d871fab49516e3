import { arrayExpression } from './json-grammar-array.ts'
import type { Containing } from './json-grammar-containers.ts'
import { numberExpression } from './json-grammar-decimal.ts'
import { distinctionOf, excludeEachOther, exclusiveRequirements } from './json-grammar-exclusion.ts'
import { isJsonObject, type JsonObject, refuse, schemaLimits } from './json-grammar-limits.ts'
import { mergeSchemas } from './json-grammar-merge.ts'
import { numberKeywords, numberOf } from './json-grammar-number-keywords.ts'
import { objectExpression } from './json-grammar-object.ts'
import { assertionsOf, findReferenced, type PlacedSchema, refuseOwnRoot, withoutNullable } from './json-grammar-reference.ts'
import { choice, type Expression, type GrammarRules, literal, reference } from './json-grammar-rules.ts'
import { anyString, stringExpression } from './json-grammar-string.ts'
import { valuesExpression } from './json-grammar-values.ts'

const keywordsOfType: Readonly<Record<string, readonly string[]>> = {
  object: [
    'properties',
    'required',
    'additionalProperties',
    'unevaluatedProperties',
    'patternProperties',
    'propertyNames',
    'minProperties',
    'maxProperties',
    'dependentRequired',
  ],
  array: ['items', 'prefixItems', 'additionalItems', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  integer: numberKeywords,
  number: numberKeywords,
  boolean: [],
  null: [],
}
const typeNames = Object.keys(keywordsOfType)
const typeKeywords = new Set(Object.values(keywordsOfType).flat())

/** Where a schema stands, and which references led there without anything being written in between. */
type Place = Readonly<{ pointer: string; open: ReadonlySet<string> }>
type Compiler = Containing &
  Readonly<{ root: unknown; compile: (schema: unknown, place: Place) => Expression | undefined; names: Map<string, string> }>

/** The grammar of a schema's values; references lead into `root`. Throws `invalid`, with place and keyword, for what is wrong or can't be enforced. */
export function compileSchema(rules: GrammarRules, schema: unknown, root: unknown): Expression {
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
  return compiler.inside(schema, '#') ?? refuse('#', '', 'allows no value')
}

function compileAnything(compiler: Compiler, schema: unknown, place: Place): Expression | undefined {
  if (schema === true) return anyValue(compiler.rules)
  if (schema === false) return undefined
  if (!isJsonObject(schema)) return refuse(place.pointer, '', 'must be a schema: an object, true or false')
  if (schema !== compiler.root) refuseOwnRoot(schema, place.pointer)
  return compileObject(compiler, withoutNullable(schema), place)
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
  const found = ['$ref', 'allOf', 'anyOf', 'oneOf', 'dependentRequired', 'const', 'enum'].find((keyword) =>
    keywords.includes(keyword),
  )
  switch (found) {
    case '$ref':
      return keywords.length === 1 ? compileReference(compiler, schema, place) : compileMerged(compiler, schema, place)
    case 'allOf':
      return compileMerged(compiler, schema, place)
    case 'anyOf':
    case 'oneOf':
      return compileAny(compiler, schema, found, place)
    case 'dependentRequired':
      return compileDependent(compiler, schema, place)
    case 'const':
    case 'enum':
      return valuesExpression(compiler.rules, schema, place.pointer)
    default:
      return compileTypes(compiler, schema, place)
  }
}

function compileReference({ root, rules, names, compile }: Compiler, schema: JsonObject, { pointer, open }: Place): Expression {
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

function compileMerged(compiler: Compiler, schema: JsonObject, place: Place): Expression | undefined {
  const { allOf } = schema
  if (allOf !== undefined && (!Array.isArray(allOf) || allOf.length === 0))
    return refuse(place.pointer, 'allOf', 'must be a list of at least one schema')
  // A single part may be what can't be merged, and may be recursive.
  if (Array.isArray(allOf) && allOf.length === 1 && assertionsOf(schema).length === 1)
    return compiler.compile(allOf[0], { ...place, pointer: `${place.pointer}/allOf/0` })
  return compiler.compile(mergeSchemas(compiler.root, [{ schema, pointer: place.pointer }], place.pointer), place)
}

function compileAny(compiler: Compiler, schema: JsonObject, keyword: 'anyOf' | 'oneOf', place: Place): Expression | undefined {
  const { [keyword]: branches, ...base } = schema
  if (!Array.isArray(branches) || branches.length === 0)
    return refuse(place.pointer, keyword, 'must be a list of at least one schema')
  if (branches.length > schemaLimits.alternatives)
    return refuse(place.pointer, keyword, `has more than ${schemaLimits.alternatives} branches`)
  const isAlone = assertionsOf(base).length === 0
  const requirements = keyword === 'oneOf' ? exclusiveRequirements(branches) : undefined
  const placed = (requirements ?? branches).map((branch: unknown, index) => ({
    schema: branch,
    pointer: `${place.pointer}/${keyword}/${index}`,
  }))
  // What stands beside the branches holds for each of them.
  const whole = isAlone
    ? placed
    : placed.map((branch) => ({
        schema: mergeSchemas(compiler.root, [{ schema: base, pointer: place.pointer }, branch], branch.pointer),
        pointer: branch.pointer,
      }))
  if (keyword === 'oneOf' && requirements === undefined) checkExclusive(compiler, isAlone ? [placed] : [placed, whole], place)
  const options = whole
    .map((branch) => compiler.compile(branch.schema, { ...place, pointer: branch.pointer }))
    .filter((option) => option !== undefined)
  return options.length === 0 ? undefined : choice(options)
}

const mostCompared = 2_000_000

/** Each pair of branches must exclude each other, in the words of one of these ways to write them. */
function checkExclusive({ root }: Compiler, ways: ReadonlyArray<readonly PlacedSchema[]>, { pointer }: Place): void {
  const distinctions = ways.map((branches) => branches.map((branch) => distinctionOf(root, branch)))
  const count = distinctions[0]?.length ?? 0
  const names = distinctions.flat().reduce((sum, { required }) => sum + 1 + required.size, 0)
  if (names * count > mostCompared) refuse(pointer, 'oneOf', 'has too many branches to tell apart; use anyOf')
  for (let left = 0; left < count; left++)
    for (let right = left + 1; right < count; right++) {
      const isExclusive = distinctions.some((branches) => {
        const [first, second] = [branches[left], branches[right]]
        return first !== undefined && second !== undefined && excludeEachOther(first, second)
      })
      if (!isExclusive) refuse(pointer, 'oneOf', 'has branches that may both fit; use anyOf')
    }
}

const mostDependent = 6

/** A property that asks for others is either written with them or not at all. */
function compileDependent(compiler: Compiler, schema: JsonObject, place: Place): Expression | undefined {
  const { dependentRequired, ...base } = schema
  const { properties = {}, required = [] } = schema
  if (!isJsonObject(dependentRequired)) return refuse(place.pointer, 'dependentRequired', 'must be an object')
  const isObject = schema.type === undefined || schema.type === 'object'
  if (!isObject || !Array.isArray(required) || !isJsonObject(properties) || schema.patternProperties !== undefined)
    return refuse(place.pointer, 'dependentRequired', "can't be enforced beside these keywords")
  const [[name, needed] = [undefined, []], ...others] = Object.entries(dependentRequired)
  if (others.length >= mostDependent) refuse(place.pointer, 'dependentRequired', `has more than ${mostDependent} properties`)
  if (name === undefined) return compiler.compile(base, place)
  if (!Array.isArray(needed)) return refuse(place.pointer, 'dependentRequired', 'must hold lists of property names')
  const rest = others.length === 0 ? base : { ...base, dependentRequired: Object.fromEntries(others) }
  const withAll = { ...rest, properties, required: [...new Set([...required, name, ...needed])] }
  const without = { ...rest, required, properties: { ...properties, [name]: false } }
  const options = [withAll, without]
    .filter((option) => option.required.every((one: string) => option.properties?.[one] !== false))
    .map((option) => compiler.compile({ ...option, type: 'object' }, place))
    .filter((option) => option !== undefined)
  return options.length === 0 ? undefined : choice(options)
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
  const unknownKeyword = assertionsOf(schema).find((keyword) => keyword !== 'type' && !typeKeywords.has(keyword))
  if (unknownKeyword !== undefined) refuse(place.pointer, unknownKeyword, "is not supported, so it can't be enforced")
  const types = schema.type === undefined ? impliedTypes(schema) : readTypes(schema, place.pointer)
  if (types.length === 0) return anyValue(compiler.rules)
  // Each integer is a number, so that one of the two is enough.
  const distinct = types.filter((type) => type !== 'integer' || !types.includes('number'))
  return choice(distinct.map((type) => compiler.rules.add(type, compileType(compiler, type, schema, place))))
}

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
      return numberOf(compiler.rules, { type, schema, pointer })
    case 'boolean':
      return choice([literal('true'), literal('false')])
    default:
      return literal('null')
  }
}
