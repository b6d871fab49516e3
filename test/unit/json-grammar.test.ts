import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormatsModule from 'ajv-formats'
import fastCheck from 'fast-check'
import { describe, expect, test } from 'vitest'
import { jsonObjectGrammar, jsonSchemaToGrammar } from '../../src/engine/json-grammar.ts'
import { AppError } from '../../src/errors.ts'
import { accepts, createGenerator, type Gbnf, parseGbnf } from '../gbnf.ts'

const addFormats = addFormatsModule.default
const ajv = addFormats(new Ajv2020({ strict: false, allErrors: false }))
const grammarOf = (schema: unknown): Gbnf => parseGbnf(jsonSchemaToGrammar(schema))

/** A repeatable source of whole numbers below a limit. */
function createRandom(seed: number) {
  let state = seed
  return (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function expectValid(schema: Record<string, unknown> | boolean, samples: number, seed = 1): void {
  const generate = createGenerator(grammarOf(schema))
  const validate = ajv.compile(schema)
  const random = createRandom(seed)
  for (let count = 0; count < samples; count++) {
    const text = generate(random)
    const valid = validate(JSON.parse(text))
    if (!valid) expect.fail(`${text} does not fit ${JSON.stringify(schema)}: ${ajv.errorsText(validate.errors)}`)
    expect(text).not.toMatch(/\s{21}/)
  }
}

const tree = {
  $ref: '#/$defs/node',
  $defs: {
    node: {
      type: 'object',
      properties: { name: { type: 'string' }, children: { type: 'array', items: { $ref: '#/$defs/node' } } },
      required: ['name'],
    },
  },
}

const supported: ReadonlyArray<readonly [name: string, schema: Record<string, unknown> | boolean]> = [
  ['anything', true],
  ['an empty schema', {}],
  ['any object', { type: 'object' }],
  [
    'optional and required properties',
    {
      type: 'object',
      properties: { a: { type: 'null' }, b: { type: 'boolean' }, c: { type: 'integer' }, 'd "q"\n': {} },
      required: ['b'],
    },
  ],
  ['only optional properties', { properties: { a: true, b: true } }],
  ['no other properties', { type: 'object', properties: { a: { type: 'string' } }, additionalProperties: false }],
  [
    'other properties of a kind',
    {
      type: 'object',
      properties: { ab: { type: 'string' }, abc: { type: 'null' }, b: true },
      additionalProperties: { type: 'integer' },
    },
  ],
  ['a map', { type: 'object', additionalProperties: { type: 'boolean' }, minProperties: 1, maxProperties: 3 }],
  ['required names without a schema', { type: 'object', required: ['x', 'constructor'] }],
  ['a property that is never allowed', { type: 'object', properties: { a: false, b: true } }],
  ['a list', { type: 'array', items: { type: 'boolean' } }],
  ['a list with limits', { type: 'array', items: { enum: [1, 2] }, minItems: 2, maxItems: 4 }],
  ['an empty list', { type: 'array', maxItems: 0 }],
  ['a long list', { type: 'array', items: { const: 0 }, minItems: 900, maxItems: 100_000 }],
  ['a tuple', { type: 'array', prefixItems: [{ type: 'string', maxLength: 3 }, { type: 'integer' }], items: false }],
  ['a tuple with more', { type: 'array', prefixItems: [{ const: 'a' }], items: { const: 'b' }, minItems: 3 }],
  ['a tuple with anything more', { prefixItems: [{ const: 'a' }], minItems: 3, maxItems: 3 }],
  ['fixed values', { enum: ['red', 'reddish', 'red"dish', 'azul\n', 'añil', '😀', 1, -1.5, null, true, [1, { a: 2 }], {}] }],
  ['fixed values of a type', { type: 'string', enum: ['a', 1, 'b'] }],
  ['one value', { const: { a: [1, 'x'] } }],
  ['several types', { type: ['string', 'null', 'integer'], maxLength: 2, minimum: 5 }],
  ['a text with limits', { type: 'string', minLength: 3, maxLength: 5 }],
  ['a text of one length', { type: 'string', minLength: 27, maxLength: 27 }],
  ['a long text', { type: 'string', minLength: 995, maxLength: 1203 }],
  ['a text without upper limit', { type: 'string', minLength: 64 }],
  ['a text with a limit that no answer reaches', { type: 'string', maxLength: 10_000_000 }],
  ...['date', 'time', 'date-time', 'uuid', 'email', 'hostname', 'ipv4', 'uri'].map(
    (format) => [`the format ${format}`, { type: 'string', format }] as const,
  ),
  ...[
    '^a+$',
    '^(foo|ba[rz]{2,3})?x$',
    '^[^a-z\\s]{2,}$',
    '^\\d{3}-\\d{4}$',
    '^\\w+\\.\\w+$',
    '^.{1,500}$',
    'b',
    '^b',
    'b$',
    '^a$|^b{3}$|c',
    '^[\\]"\\\\/-]*$',
    '^(?:a*|b)*c$',
    '^(?<year>\\d{4})é\\u00e9😀\\x41$',
    '^\\s*x\\s*$',
    '^a{3,}?$',
    '^(a?){3}$',
  ].map((pattern) => [`the pattern ${pattern}`, { type: 'string', pattern }] as const),
  ['a pattern that implies its lengths', { type: 'string', pattern: '^[a-z]{2,5}$', minLength: 2, maxLength: 8 }],
  ['numbers', { type: 'number' }],
  ['whole numbers', { type: 'integer' }],
  ['numbers from 0 to 1', { type: 'number', minimum: 0, maximum: 1 }],
  ['numbers between -3 and 12', { type: 'number', exclusiveMinimum: -3, exclusiveMaximum: 12 }],
  ['numbers above 0', { type: 'number', exclusiveMinimum: 0 }],
  ['numbers to 0', { type: 'number', maximum: 0 }],
  ['numbers under 0', { type: 'number', exclusiveMaximum: 0 }],
  ['whole numbers between fractions', { type: 'integer', minimum: -0.5, maximum: 10.5 }],
  ['alternatives', { anyOf: [{ type: 'string', maxLength: 1 }, { type: 'array', items: { type: 'null' } }, false] }],
  [
    'alternatives under a type',
    {
      type: 'object',
      anyOf: [
        { properties: { a: true }, required: ['a'] },
        { type: 'object', required: ['b'] },
      ],
    },
  ],
  ['exclusive types', { oneOf: [{ type: 'string' }, { type: 'integer' }, { const: null }] }],
  [
    'a discriminated union',
    {
      oneOf: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/b' }],
      $defs: {
        a: { type: 'object', properties: { kind: { const: 'a' } }, required: ['kind'] },
        b: { type: 'object', properties: { kind: { enum: ['b', 'c'] }, n: { type: 'integer' } }, required: ['kind', 'n'] },
      },
    },
  ],
  [
    'objects told apart by what they require',
    {
      oneOf: [
        { type: 'object', required: ['a'] },
        { type: 'object', properties: { b: true }, additionalProperties: false },
      ],
    },
  ],
  [
    'parts of one object',
    {
      allOf: [{ $ref: '#/$defs/base' }, { properties: { b: { type: 'null' } }, required: ['b'] }],
      properties: { c: { type: 'boolean' } },
      $defs: { base: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] } },
    },
  ],
  ['one part', { allOf: [{ type: 'string', maxLength: 2 }] }],
  ['a recursive tree', tree],
  [
    'recursion through the root',
    {
      type: 'object',
      properties: { next: { anyOf: [{ $ref: '#' }, { type: 'null' }] } },
      required: ['next'],
      additionalProperties: false,
    },
  ],
  ['a reference with escapes', { $ref: '#/$defs/a~1b%20c', $defs: { 'a/b c': { type: 'null' } } }],
  [
    'notes that mean nothing',
    {
      title: 'T',
      description: 'D',
      default: 1,
      examples: [1],
      deprecated: true,
      'x-order': 3,
      type: 'null',
      $schema: 'https://json-schema.org/draft/2020-12/schema',
    },
  ],
]

describe('a JSON schema', () => {
  test.each(supported)('of %s: whatever the grammar writes, the schema accepts', (_, schema) => expectValid(schema, 60))

  test('of whole numbers with limits: the grammar allows exactly those', () => {
    const limit = fastCheck.integer({ min: -1200, max: 1200 })
    fastCheck.assert(
      fastCheck.property(limit, fastCheck.nat({ max: 2500 }), (minimum, width) => {
        const grammar = grammarOf({ type: 'integer', minimum, maximum: minimum + width })
        for (const value of [
          minimum - 1,
          minimum,
          minimum + 1,
          minimum + width - 1,
          minimum + width,
          minimum + width + 1,
          0,
          7,
          -7,
          99,
          1000,
        ]) {
          expect([value, accepts(grammar, String(value))]).toEqual([value, minimum <= value && value <= minimum + width])
        }
      }),
      { numRuns: 60 },
    )
  })

  test('made at random: whatever the grammar writes, the schema accepts', () => {
    fastCheck.assert(
      fastCheck.property(randomSchema, fastCheck.nat(), (schema, seed) => expectValid(schema, 5, seed)),
      { numRuns: 200 },
    )
  })

  test('lets through the values of a usual answer', () => {
    const person = grammarOf({
      type: 'object',
      properties: {
        name: { type: 'string' },
        age: { type: 'integer', minimum: 0 },
        tags: { type: 'array', items: { type: 'string' } },
        note: { type: ['string', 'null'] },
      },
      required: ['name', 'age'],
      additionalProperties: false,
    })
    expect(accepts(person, '{"name":"Zoë \\"Z\\" 😀\\n","age":42}')).toBe(true)
    expect(accepts(person, '{ "name": "a", "age": 0, "tags": ["x", "y"], "note": null }')).toBe(true)
    expect(accepts(person, '{"name":"a","age":-1}')).toBe(false)
    expect(accepts(person, '{"name":"a"}')).toBe(false)
    expect(accepts(person, '{"name":"a","age":1,"more":1}')).toBe(false)
    expect(accepts(person, '{"name":"a","age":1}}')).toBe(false)
  })

  test('of an object with other properties allows no named one twice', () => {
    const grammar = grammarOf({
      type: 'object',
      properties: { ab: { type: 'null' } },
      required: ['ab'],
      additionalProperties: true,
    })
    expect(accepts(grammar, '{"ab":null,"abc":1,"a":2,"ñ":3}')).toBe(true)
    expect(accepts(grammar, '{"ab":null,"ab":1}')).toBe(false)
    expect(accepts(grammar, '{"ab":null,"":1}')).toBe(false)
  })
})

describe('white space', () => {
  const object = parseGbnf(jsonObjectGrammar)
  test('cannot fill a JSON answer', () => {
    expect(accepts(object, '{"a": [1, "b"], "c": {}}')).toBe(true)
    expect(accepts(object, '{\n"a": 1\n}')).toBe(true)
    expect(accepts(object, '{  "a":1}')).toBe(false)
    expect(accepts(object, `{"a":"x${' '.repeat(20)}y"}`)).toBe(true)
    expect(accepts(object, `{"a":"x${' '.repeat(21)}y"}`)).toBe(false)
    expect(accepts(object, `{"a":"x${'\\n'.repeat(21)}y"}`)).toBe(false)
  })

  test.each([
    { minLength: 40 },
    { maxLength: 200 },
    { minLength: 35, maxLength: 90 },
    { pattern: '^.{0,100}$' },
    { pattern: '^.*x.*$' },
  ])('cannot fill a text of %j', (limits) => {
    const grammar = grammarOf({ type: 'string', ...limits })
    const text = (blanks: number) => `"${'y'.repeat(20)}x${' '.repeat(blanks)}${'z'.repeat(20)}"`
    expect(accepts(grammar, text(5))).toBe(true)
    expect(accepts(grammar, text(21))).toBe(false)
  })

  test('is what any JSON value has little of', () => expectValid({ type: 'object' }, 300))
})

const nested = (depth: number, inner: unknown): unknown =>
  depth === 0 ? inner : { type: 'array', items: nested(depth - 1, inner) }
const deep = () => {
  let schema: unknown = {}
  for (let level = 0; level < 5000; level++) schema = { type: 'array', items: schema }
  return schema
}

describe('a JSON schema that cannot be enforced is refused with its place', () => {
  test.each<readonly [schema: unknown, field: string]>([
    [{ type: 123 }, '#/type'],
    [{ type: 'text' }, '#/type'],
    [{ type: [] }, '#/type'],
    ['string', '#'],
    [undefined, '#'],
    [null, '#'],
    [[], '#'],
    [false, '#'],
    [{ type: 'string', pattern: '^a\\!$' }, '#/pattern'],
    [{ type: 'string', pattern: '(' }, '#/pattern'],
    [{ type: 'string', pattern: '^(?=a)b$' }, '#/pattern'],
    [{ type: 'string', pattern: '^(a)\\1$' }, '#/pattern'],
    [{ type: 'string', pattern: '\\bword\\b' }, '#/pattern'],
    [{ type: 'string', pattern: '^\\p{L}$' }, '#/pattern'],
    [{ type: 'string', pattern: 'a^b' }, '#/pattern'],
    [{ type: 'string', pattern: '(a$)b' }, '#/pattern'],
    [{ type: 'string', pattern: '^a{5000}$' }, '#/pattern'],
    [{ type: 'string', pattern: '^\\x01$' }, '#/pattern'],
    [{ type: 'string', pattern: 3 }, '#/pattern'],
    [{ type: 'string', format: 'credit-card' }, '#/format'],
    [{ type: 'string', format: 'constructor' }, '#/format'],
    [{ type: 'string', minLength: -1 }, '#/minLength'],
    [{ type: 'string', minLength: 5, maxLength: 4 }, '#/maxLength'],
    [{ type: 'string', minLength: 1e9 }, '#/minLength'],
    [{ properties: { 'a/b': { $ref: '#/$defs/none' } } }, '#/properties/a~1b/$ref'],
    [{ $ref: 'https://example.org/schema' }, '#/$ref'],
    [{ $ref: '#/__proto__' }, '#/$ref'],
    [
      {
        properties: { a: { $id: 'https://example.org/a', $ref: '#/$defs/s', $defs: { s: { type: 'null' } } } },
        $defs: { s: { type: 'string' } },
      },
      '#/properties/a/$id',
    ],
    [{ $ref: '#' }, '#/$ref'],
    [
      { $defs: { a: { $ref: '#/$defs/b' }, b: { anyOf: [{ $ref: '#/$defs/a' }, { type: 'null' }] } }, $ref: '#/$defs/a' },
      '#/$defs/b/anyOf/0/$ref',
    ],
    [{ enum: [] }, '#/enum'],
    [{ enum: 'a' }, '#/enum'],
    [{ enum: Array.from({ length: 10_001 }, (_, index) => index) }, '#/enum'],
    [{ type: 'string', const: 1 }, '#/const'],
    [{ type: 'array', uniqueItems: true }, '#/uniqueItems'],
    [{ type: 'array', contains: {} }, '#/contains'],
    [{ type: 'array', minItems: 5000 }, '#/minItems'],
    [{ type: 'array', minItems: 2, maxItems: 1 }, '#/maxItems'],
    [{ type: 'array', items: false, minItems: 1 }, '#/minItems'],
    [{ type: 'object', properties: [] }, '#/properties'],
    [{ type: 'object', required: 'a' }, '#/required'],
    [{ type: 'object', required: [1] }, '#/required'],
    [{ type: 'object', required: ['a'], additionalProperties: false }, '#/required'],
    [{ type: 'object', properties: { a: false }, required: ['a'] }, '#/required'],
    [{ type: 'number', multipleOf: 0.1 }, '#/multipleOf'],
    [{ type: 'integer', minimum: 3, maximum: 2 }, '#/maximum'],
    [{ type: 'integer', minimum: 1e300 }, '#/minimum'],
    [{ type: 'number', exclusiveMinimum: 2, maximum: 2 }, '#/maximum'],
    [{ type: 'integer', minimum: '3' }, '#/minimum'],
    [{ not: {} }, '#/not'],
    [{ if: {}, else: {} }, '#/if'],
    [{ anyOf: [] }, '#/anyOf'],
    [{ anyOf: [false] }, '#'],
    [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, '#/oneOf'],
    [{ oneOf: [{ type: 'object' }, { type: 'object' }] }, '#/oneOf'],
    [{ oneOf: [{ minLength: 1 }, { type: 'null' }] }, '#/oneOf'],
    [{ oneOf: [{ required: ['a'] }, { required: ['a', 'b'] }] }, '#/oneOf'],
    [{ type: 'string', pattern: '^a{4}$', maxLength: 3 }, '#/pattern'],
    [{ type: 'string', format: 'uuid', maxLength: 20 }, '#/format'],
    [{ const: 1, minimum: 2 }, '#/const'],
    [{ enum: ['a', 'bb'], minLength: 3 }, '#/enum'],
    [{ enum: [{ a: 1 }], required: ['b'] }, '#/required'],
    [{ type: 'number', minimum: 0.1234567 }, '#/minimum'],
    [{ type: 'number', exclusiveMinimum: 0.1, exclusiveMaximum: 0.1 }, '#/maximum'],
    [{ type: 'integer', multipleOf: 0 }, '#/multipleOf'],
    [{ type: 'integer', multipleOf: 1234567 }, '#/multipleOf'],
    [{ type: 'integer', multipleOf: 50, minimum: 1, maximum: 49 }, '#/maximum'],
    [{ type: 'array', uniqueItems: true, items: { enum: ['a', 'b'] }, minItems: 3 }, '#/minItems'],
    [{ type: 'array', uniqueItems: true, items: { type: 'string' } }, '#/uniqueItems'],
    [{ type: 'array', uniqueItems: true, items: { enum: Array.from({ length: 65 }, (_, index) => index) } }, '#/uniqueItems'],
    [{ type: 'array', items: [{}], prefixItems: [{}] }, '#/items'],
    [{ type: 'object', properties: { a: true }, minProperties: 2 }, '#/minProperties'],
    [{ type: 'object', properties: { a: true, b: true }, required: ['a', 'b'], maxProperties: 1 }, '#/maxProperties'],
    [{ type: 'object', patternProperties: { '^a': true, '^b': true } }, '#/patternProperties'],
    [{ type: 'object', patternProperties: { '(': true } }, '#/patternProperties/('],
    [
      { type: 'object', properties: { ab: { type: 'null' } }, patternProperties: { '^a': { type: 'string' } } },
      '#/patternProperties/^a',
    ],
    [{ type: 'object', properties: { a: true }, propertyNames: { maxLength: 3 } }, '#/propertyNames'],
    [{ allOf: [{ type: 'string' }, { not: {} }] }, '#/allOf/1/not'],
    [{ allOf: [{ type: 'string' }, { type: 'null' }] }, '#'],
    [{ allOf: [{ pattern: '^a' }, { pattern: 'b$' }] }, '#/pattern'],
    [{ allOf: [{ properties: { a: true }, additionalProperties: false }, { required: ['b'] }] }, '#/required'],
    [{ allOf: [{ $ref: '#' }, {}] }, '#/allOf/0/allOf'],
    [{ type: ['string', 'object'], dependentRequired: { a: ['b'] } }, '#/dependentRequired'],
    [nested(10, { type: 'nul' }), `#${'/items'.repeat(10)}/type`],
  ])('%j', (schema, field) => {
    try {
      jsonSchemaToGrammar(schema)
    } catch (error) {
      expect(error).toBeInstanceOf(AppError)
      expect(error).toMatchObject({ code: 'invalid', details: [expect.objectContaining({ field })] })
      return
    }
    expect.fail('It was accepted.')
  })

  test.each<readonly [string, unknown]>([
    ['requires itself without end', { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }],
    [
      'requires itself without end in a part that is optional',
      { properties: { a: { $ref: '#/$defs/n' } }, $defs: { n: { type: 'array', items: { $ref: '#/$defs/n' }, minItems: 1 } } },
    ],
    ['is 5000 levels deep', deep()],
    ['has an enum of 1 MB', { enum: Array.from({ length: 5000 }, (_, index) => `${index}`.padEnd(200, 'x')) }],
    ['has an endless description', { description: 'x'.repeat(300_000) }],
    ['has too many alternatives', { anyOf: Array.from({ length: 3000 }, (_, index) => ({ const: index })) }],
    [
      'makes a huge grammar',
      {
        allOf: [
          { type: 'object', properties: Object.fromEntries(Array.from({ length: 6000 }, (_, index) => [`p${index}`, {}])) },
          {},
        ],
      },
    ],
    [
      'has long chains of references',
      {
        $defs: Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`d${index}`, { $ref: `#/$defs/d${index + 1}` }])),
        $ref: '#/$defs/d0',
      },
    ],
  ])('one that %s, and quickly', (_, schema) => {
    const started = performance.now()
    expect(() => jsonSchemaToGrammar(schema)).toThrow(AppError)
    expect(performance.now() - started).toBeLessThan(1000)
  })
})

test('a large schema within the limits makes a grammar in no time', () => {
  const words = Array.from({ length: 5000 }, (_, index) => `word-${index}-${(index * 7919) % 5000}`)
  const started = performance.now()
  expectValid({ type: 'object', properties: { word: { enum: words } }, required: ['word'] }, 20)
  expect(performance.now() - started).toBeLessThan(3000)
})

const bound = fastCheck.integer({ min: -2000, max: 2000 })
const { schema: randomSchema } = fastCheck.letrec<{ schema: Record<string, unknown>; leaf: Record<string, unknown> }>((tie) => ({
  leaf: fastCheck.oneof(
    fastCheck.constantFrom<Record<string, unknown>>(
      { type: 'null' },
      { type: 'boolean' },
      {},
      { format: 'date' },
      { type: 'string', pattern: '^[a-c]{1,3}$' },
    ),
    fastCheck.record({ type: fastCheck.constantFrom('integer', 'number'), minimum: bound }, { requiredKeys: ['type'] }),
    fastCheck.record({ type: fastCheck.constantFrom('integer', 'number'), exclusiveMaximum: bound }),
    fastCheck
      .tuple(fastCheck.nat(60), fastCheck.nat(60))
      .map(([minLength, more]) => ({ type: 'string', minLength, maxLength: minLength + more })),
    fastCheck
      .array(fastCheck.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 5 })
      // Ajv compares objects by calling these.
      .filter((values) => !/"(?:toString|valueOf)"/.test(JSON.stringify(values)))
      .map((values) => ({ enum: values })),
  ),
  schema: fastCheck.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('leaf'),
    fastCheck
      .record({
        type: fastCheck.constant('object'),
        properties: fastCheck.dictionary(fastCheck.string({ maxLength: 6 }), tie('schema'), {
          maxKeys: 4,
          noNullPrototype: true,
        }),
        additionalProperties: fastCheck.oneof(fastCheck.boolean(), tie('leaf')),
      })
      .chain((schema) => fastCheck.subarray(Object.keys(schema.properties)).map((required) => ({ ...schema, required }))),
    fastCheck
      .tuple(tie('schema'), fastCheck.nat(3), fastCheck.nat(3))
      .map(([items, minItems, more]) => ({ type: 'array', items, minItems, maxItems: minItems + more })),
    fastCheck
      .array(tie('leaf'), { minLength: 1, maxLength: 3 })
      .map((prefixItems) => ({ type: 'array', prefixItems, items: false })),
    fastCheck.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
  ),
}))
