import { readFile } from 'node:fs/promises'
import fastCheck from 'fast-check'
import { describe, expect, test } from 'vitest'
import { jsonSchemaToGrammar } from '../../src/engine/json-grammar.ts'
import { annotations } from '../../src/engine/json-grammar-reference.ts'
import { formats } from '../../src/engine/json-grammar-string.ts'
import { accepts, createGenerator, parseGbnf } from '../gbnf.ts'
import { namedSchemas } from '../json-schemas.ts'
import { createSchemaValidator } from '../schema-validator.ts'

const ajv = createSchemaValidator()
type Schema = Readonly<Record<string, unknown>>

/** A repeatable source of whole numbers below a limit. */
function createRandom(seed: number) {
  let state = seed
  return (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function expectValid(schema: Schema, samples: number, seed = 1): void {
  const generate = createGenerator(parseGbnf(jsonSchemaToGrammar(schema)))
  const validate = ajv.compile(schema)
  const random = createRandom(seed)
  for (let count = 0; count < samples; count++) {
    const text = generate(random)
    if (!validate(JSON.parse(text)))
      expect.fail(`${text} does not fit ${JSON.stringify(schema)}: ${ajv.errorsText(validate.errors)}`)
  }
}

describe('two hundred schemas', () => {
  test('are as many, and no two alike', () => {
    expect(new Set(namedSchemas.map(([, schema]) => JSON.stringify(schema))).size).toBe(namedSchemas.length)
    expect(namedSchemas.length).toBeGreaterThanOrEqual(200)
  })

  test.each(namedSchemas)('%s', (_, schema) => expectValid(schema, 40))
})

const decimal = fastCheck.integer({ min: -20_000, max: 20_000 }).map((thousandths) => thousandths / 1000)

describe('the grammar of numbers', () => {
  test('between fractions allows exactly those in between', () => {
    const value = fastCheck.tuple(decimal, fastCheck.nat(999)).map(([base, more]) => Number((base + more / 1_000_000).toFixed(6)))
    fastCheck.assert(
      fastCheck.property(
        decimal,
        decimal,
        fastCheck.boolean(),
        fastCheck.array(value, { minLength: 20 }),
        (one, other, exclusive, tried) => {
          const [low, high] = [Math.min(one, other), Math.max(one, other)]
          fastCheck.pre(low < high)
          const limits = exclusive ? { exclusiveMinimum: low, exclusiveMaximum: high } : { minimum: low, maximum: high }
          const grammar = parseGbnf(jsonSchemaToGrammar({ type: 'number', ...limits }))
          const isInside = ajv.compile({ type: 'number', ...limits })
          const near = [low, high].flatMap((limit) => [limit, limit - 0.001, limit + 0.001, Math.trunc(limit)])
          for (const number of [...tried, ...near.map((one) => Number(one.toFixed(6)))])
            expect([number, accepts(grammar, JSON.stringify(number))]).toEqual([number, isInside(number)])
        },
      ),
      { numRuns: 100 },
    )
  })

  test('that can be divided allows exactly those', () => {
    const divisor = fastCheck.oneof(fastCheck.integer({ min: 1, max: 100 }), fastCheck.constantFrom(120, 1000, 2500 / 25, 6000))
    const limit = fastCheck.integer({ min: -3000, max: 3000 })
    fastCheck.assert(
      fastCheck.property(divisor, limit, fastCheck.nat(9000), fastCheck.array(limit), (multipleOf, minimum, width, tried) => {
        const schema = { type: 'integer', multipleOf, minimum, maximum: minimum + width }
        const first = Math.ceil(minimum / multipleOf) * multipleOf
        fastCheck.pre(first <= schema.maximum)
        const grammar = parseGbnf(jsonSchemaToGrammar(schema))
        const isMultiple = ajv.compile(schema)
        const last = Math.floor(schema.maximum / multipleOf) * multipleOf
        for (const number of [...tried, first, first - multipleOf, first + 1, last, last + multipleOf, 0])
          expect([number, accepts(grammar, String(number))]).toEqual([number, isMultiple(number)])
      }),
      { numRuns: 100 },
    )
  })
})

test('patterns with limits are kept to, wherever a share of the room is found', () => {
  const part = fastCheck.constantFrom('[a-z]+', 'x*', '(?:ab?)+', '\\d{2,}', '-', '(?:a|bcd)', '.?', '(?:[A-Z]\\d*){1,3}', 'ñ{3}')
  const pattern = fastCheck
    .tuple(fastCheck.boolean(), fastCheck.array(part, { minLength: 1, maxLength: 4 }), fastCheck.boolean())
    .map(([start, parts, end]) => `${start ? '^' : ''}${parts.join('')}${end ? '$' : ''}`)
  let refused = 0
  fastCheck.assert(
    fastCheck.property(pattern, fastCheck.nat(12), fastCheck.nat(30), fastCheck.nat(), (source, minLength, more, seed) => {
      const schema = { type: 'string', pattern: source, minLength, maxLength: minLength + more }
      try {
        expectValid(schema, 5, seed)
      } catch (error) {
        if (!(error instanceof Error && error.message.includes('allows other lengths'))) throw error
        refused++
      }
    }),
    { numRuns: 300 },
  )
  expect(refused).toBeLessThan(100)
})

const scalar = fastCheck.oneof<fastCheck.Arbitrary<Schema>[]>(
  fastCheck.constantFrom<Schema>(
    { type: 'string' },
    { type: ['string', 'null'] },
    { type: 'integer' },
    { type: 'number' },
    { type: 'boolean' },
    {},
  ),
  fastCheck.record({ type: fastCheck.constantFrom('integer', 'number'), minimum: decimal }),
  fastCheck.record({ maximum: decimal }),
  fastCheck.record({ minLength: fastCheck.nat(4) }),
  fastCheck.record({ maxLength: fastCheck.integer({ min: 4, max: 9 }) }),
  fastCheck.subarray(['a', 'bb', 1, 2.5, null, true], { minLength: 1 }).map((values) => ({ enum: values })),
)
const object = fastCheck.record(
  {
    type: fastCheck.constant('object'),
    properties: fastCheck.dictionary(fastCheck.constantFrom('a', 'b', 'c', 'ñ'), scalar, { noNullPrototype: true }),
    required: fastCheck.subarray(['a', 'b', 'c']),
    additionalProperties: fastCheck.oneof(fastCheck.boolean(), scalar),
    minProperties: fastCheck.nat(3),
    maxProperties: fastCheck.integer({ min: 1, max: 4 }),
    dependentRequired: fastCheck.constantFrom({ a: ['b'] }, { a: ['b'], b: ['a'] }, { c: ['ñ'] }),
  },
  { requiredKeys: [] },
)
const array = fastCheck.record(
  {
    type: fastCheck.constant('array'),
    items: scalar,
    minItems: fastCheck.nat(2),
    maxItems: fastCheck.integer({ min: 2, max: 4 }),
    uniqueItems: fastCheck.boolean(),
  },
  { requiredKeys: ['type', 'items'] },
)
const anySchema = fastCheck.oneof<fastCheck.Arbitrary<Schema>[]>(scalar, object, array)
const combinedSchema = fastCheck.oneof<fastCheck.Arbitrary<Schema>[]>(
  fastCheck.array(anySchema, { minLength: 1, maxLength: 3 }).map((allOf) => ({ allOf })),
  fastCheck.tuple(anySchema, anySchema).map(([base, one]) => ({ ...base, allOf: [one] })),
  fastCheck
    .tuple(anySchema, fastCheck.array(anySchema, { minLength: 1, maxLength: 3 }))
    .map(([base, anyOf]) => ({ ...base, anyOf })),
  fastCheck
    .tuple(anySchema, fastCheck.array(anySchema, { minLength: 1, maxLength: 3 }))
    .map(([base, oneOf]) => ({ ...base, oneOf })),
  fastCheck.tuple(anySchema, anySchema).map(([base, one]) => ({ ...base, $ref: '#/$defs/one', $defs: { one } })),
)

test('schemas that are combined at random are kept to or refused', () => {
  let kept = 0
  fastCheck.assert(
    fastCheck.property(combinedSchema, fastCheck.nat(), (schema, seed) => {
      try {
        expectValid(schema, 5, seed)
        kept++
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'invalid')) throw error
      }
    }),
    { numRuns: 1500 },
  )
  expect(kept).toBeGreaterThan(250)
})

test('the documentation names what is kept to and what is refused', async () => {
  const text = await readFile('docs/json-schemas.md', 'utf8')
  const [kept = '', refused = ''] = text.split('## Refused')
  const named = (part: string) => [...part.matchAll(/`([\w$-]+)`/g)].map(([, name = '']) => name)
  expect(named(kept)).toEqual(
    expect.arrayContaining([...Object.keys(formats), ...annotations].filter((name) => name !== '$anchor')),
  )
  for (const keyword of [
    'not',
    'if',
    'then',
    'else',
    'contains',
    'minContains',
    'maxContains',
    'dependentSchemas',
    'dependencies',
    'unevaluatedItems',
    'contentEncoding',
    'contentMediaType',
    '$dynamicRef',
  ]) {
    expect(named(refused)).toContain(keyword)
    for (const schema of [{ [keyword]: {} }, { type: 'string', [keyword]: {} }, { allOf: [{ [keyword]: {} }, {}] }])
      expect(() => jsonSchemaToGrammar(schema), keyword).toThrow(keyword)
  }
})

test('hostile schemas are compiled or refused at once', () => {
  const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)
  const properties = Object.fromEntries(numbers(3000).map((index) => [`p${index}`, {}]))
  const required = Object.keys(properties)
  const doubling = Object.fromEntries(
    numbers(20).map((index) => [`d${index}`, { allOf: [{ $ref: `#/$defs/d${index + 1}` }, { $ref: `#/$defs/d${index + 1}` }] }]),
  )
  for (const schema of [
    { $ref: '#/$defs/d0', $defs: { ...doubling, d20: {} } },
    {
      type: 'object',
      properties,
      required,
      oneOf: numbers(200).map((k) => ({ properties: { k: { const: k } }, required: ['k'] })),
    },
    { type: 'object', properties, anyOf: numbers(200).map((index) => ({ required: [`p${index}`] })) },
    { allOf: [{ enum: numbers(9000) }, { enum: numbers(9000).map((one) => one + 5) }] },
    { enum: numbers(300).map((index) => 'a'.repeat(300) + index), pattern: '^(?:(?:a+)+)+b?$' },
    { enum: ['a'.repeat(2000)], pattern: '^(?:(?:a?){1000000}){1000000}$' },
    { type: 'object', properties, patternProperties: { '(x+x+)+y': true } },
    { type: 'object', properties, minProperties: 1000 },
    { type: 'string', pattern: `^${'(?:a*b*){0,20}'.repeat(200)}$`, maxLength: 500 },
  ]) {
    const started = performance.now()
    try {
      jsonSchemaToGrammar(schema)
    } catch (error) {
      expect(error).toMatchObject({ code: 'invalid' })
    }
    expect(performance.now() - started).toBeLessThan(3000)
  }
})
