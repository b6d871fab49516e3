import type { NamedSchema } from './json-schemas.ts'

type Schema = Readonly<Record<string, unknown>>

const named = (keyword: string, schemas: readonly Schema[]): readonly NamedSchema[] =>
  schemas.map((schema) => [`${keyword}: ${JSON.stringify(schema)}`, schema])
const texts = (...keywords: readonly Schema[]) => keywords.map((more) => ({ type: 'string', ...more }))

const formats = [
  'date',
  'time',
  'date-time',
  'duration',
  'uuid',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'uri',
  'uri-reference',
  'json-pointer',
  'byte',
]

const strings = [
  ...named(
    'lengths',
    texts(
      { maxLength: 1 },
      { maxLength: 20 },
      { minLength: 5, maxLength: 5 },
      { minLength: 10, maxLength: 30 },
      { minLength: 1, maxLength: 100 },
      { minLength: 30, maxLength: 31 },
    ),
  ),
  ...named(
    'format',
    formats.map((format) => ({ type: 'string', format })),
  ),
  ...named(
    'format and length',
    texts(
      { format: 'email', maxLength: 40 },
      { format: 'hostname', maxLength: 20 },
      { format: 'uri', maxLength: 40 },
      { format: 'uri', minLength: 25, maxLength: 50 },
    ),
  ),
  ...named(
    'pattern',
    texts(
      { pattern: '^[A-Z]{3}$' },
      { pattern: '^\\d{3}-\\d{2}-\\d{4}$' },
      { pattern: '^(?:yes|no|maybe)$' },
      { pattern: '^[^\\s@]{3,9}$' },
      { pattern: '^#(?:[0-9a-f]{3}|[0-9a-f]{6})$' },
      { pattern: '^\\w{4,8}$' },
      { pattern: '^v\\d+\\.\\d+$' },
      { pattern: '^[a-z]+(?:-[a-z]+)*$', maxLength: 24 },
      { pattern: '^[A-Z][a-z]+$', minLength: 4, maxLength: 12 },
      { pattern: '^a|b$', maxLength: 12 },
      { pattern: 'x', maxLength: 12 },
      { pattern: '^\\d+$', minLength: 8, maxLength: 8 },
      { pattern: '^(?:[A-Z]\\d){2,4}$' },
      { pattern: '^[áéíóú]{2,5}$' },
      { pattern: '^.{3,8}$' },
    ),
  ),
]

const numbers = [
  ...named('integer', [
    { type: 'integer' },
    { type: 'integer', minimum: 0, maximum: 9 },
    { type: 'integer', minimum: -5, maximum: 5 },
    { type: 'integer', minimum: 1000, maximum: 1999 },
    { type: 'integer', exclusiveMinimum: 10, exclusiveMaximum: 20 },
    { type: 'integer', minimum: 7, maximum: 7 },
    { type: 'integer', maximum: -1, minimum: -300 },
    { type: 'integer', minimum: 99.5, maximum: 200.5 },
    { type: 'integer', format: 'int32' },
    { type: 'number', format: 'int32', minimum: 0 },
    { type: 'integer', format: 'int64', minimum: -5 },
  ]),
  ...named('multipleOf', [
    { type: 'integer', multipleOf: 2, minimum: 0, maximum: 100 },
    { type: 'integer', multipleOf: 5, minimum: 10, maximum: 995 },
    { type: 'integer', multipleOf: 7, minimum: 0, maximum: 700 },
    { type: 'integer', multipleOf: 1000, minimum: 1, maximum: 90_000 },
    { type: 'integer', multipleOf: 15, minimum: -60, maximum: 60 },
    { type: 'number', multipleOf: 10, minimum: 0, maximum: 200 },
  ]),
  ...named('number', [
    { type: 'number', minimum: 0, maximum: 1 },
    { type: 'number', minimum: -1, maximum: 1 },
    { type: 'number', minimum: 0.1, maximum: 0.9 },
    { type: 'number', exclusiveMinimum: 0, maximum: 100 },
    { type: 'number', minimum: 36.5, maximum: 42.25 },
    { type: 'number', exclusiveMinimum: -0.5, exclusiveMaximum: 0.5 },
    { type: 'number', minimum: 1.25, maximum: 1.3 },
    { type: 'number', minimum: 0.01, maximum: 999.99 },
  ]),
]

const item = { type: 'integer', minimum: 0, maximum: 99 }
const arrays = named('array', [
  { type: 'array', items: item, maxItems: 5 },
  { type: 'array', items: item, minItems: 3, maxItems: 3 },
  { type: 'array', items: { type: 'boolean' }, minItems: 1, maxItems: 8 },
  { type: 'array', items: { type: 'string', maxLength: 8 }, minItems: 2, maxItems: 4 },
  { type: 'array', items: { type: 'array', items: item, maxItems: 2 }, maxItems: 2 },
  { type: 'array', maxItems: 0 },
  { type: 'array', prefixItems: [item, { type: 'boolean' }], items: false, minItems: 2 },
  { type: 'array', prefixItems: [{ const: 'v' }], items: item, minItems: 2, maxItems: 4 },
  { type: 'array', items: { enum: ['a', 'b', 'c'] }, uniqueItems: true },
  { type: 'array', items: { enum: ['red', 'green', 'blue', 'white'] }, uniqueItems: true, minItems: 2, maxItems: 3 },
  { type: 'array', items: { enum: [1, 2, 3, 4, 5, 6] }, uniqueItems: true, minItems: 6 },
  { type: 'array', items: { type: 'boolean' }, uniqueItems: true, minItems: 1 },
  { type: 'array', items: item, uniqueItems: true, maxItems: 1 },
  { type: 'array', items: { type: 'null' }, maxItems: 3 },
  { type: 'array', items: { anyOf: [item, { type: 'string', maxLength: 5 }] }, maxItems: 3 },
])

const a = { type: 'string', maxLength: 8 }
const objects = named('object', [
  { type: 'object', properties: { a, b: item }, required: [] },
  { type: 'object', properties: { a, b: item }, required: ['b'] },
  { type: 'object', properties: { a, b: item }, required: ['a', 'b'], additionalProperties: false },
  { type: 'object', properties: { a }, required: ['a', 'z'], additionalProperties: item },
  { type: 'object', properties: { a, b: item, c: item }, minProperties: 2, additionalProperties: false },
  { type: 'object', properties: { a, b: item, c: item }, minProperties: 1, maxProperties: 2, additionalProperties: false },
  { type: 'object', properties: { a, b: item, c: item }, required: ['c'], maxProperties: 2 },
  { type: 'object', additionalProperties: item, minProperties: 1, maxProperties: 3 },
  { type: 'object', additionalProperties: false },
  { type: 'object', properties: { a: false, b: item }, required: ['b'] },
  { type: 'object', patternProperties: { '^x-[a-z]{1,5}$': item }, additionalProperties: false, maxProperties: 2 },
  { type: 'object', properties: { id: item }, required: ['id'], patternProperties: { '^p\\d{1,2}$': a }, maxProperties: 3 },
  { type: 'object', propertyNames: { enum: ['es', 'en', 'fr'] }, additionalProperties: a, maxProperties: 2 },
  { type: 'object', propertyNames: { maxLength: 3, minLength: 1 }, additionalProperties: item, maxProperties: 2 },
  { type: 'object', properties: { a, b: item }, dependentRequired: { a: ['b'] } },
  { type: 'object', properties: { a, b: item, c: item }, dependentRequired: { a: ['b'], b: ['c'] } },
  { type: 'object', properties: { a, b: item }, required: ['a'], unevaluatedProperties: false },
])

const values = named('fixed values', [
  { const: 'only' },
  { const: 42 },
  { const: null },
  { const: { a: [1, true] } },
  { enum: ['north', 'south', 'east', 'west'] },
  { enum: [1, 2, 3] },
  { enum: ['a', 1, null, true] },
  { enum: [[], [1], {}] },
  { enum: ['añil', 'azul', '"quoted"', 'new\nline'] },
  { enum: ['abc', 'abcd', 'abcde'] },
  { type: 'string', enum: ['x', 'yy', 'zzz'], minLength: 2 },
  { type: 'integer', enum: [1, 5, 10, 50], minimum: 5 },
  { type: ['string', 'null'], enum: ['a', null, 3] },
])

const unions = named('union', [
  { type: ['string', 'null'], maxLength: 10 },
  { type: ['integer', 'boolean'], minimum: 0, maximum: 9 },
  { type: ['array', 'object'], items: item, maxItems: 2, properties: { a }, required: ['a'] },
  { anyOf: [a, item, { type: 'null' }] },
  { anyOf: [{ type: 'array', items: a, maxItems: 2 }, a] },
  { oneOf: [a, item] },
  { oneOf: [{ const: 1 }, { const: 2 }, { enum: ['x', 'y'] }] },
  {
    oneOf: [
      { type: 'object', required: ['p'], properties: { p: item }, additionalProperties: false },
      { type: 'object', required: ['q'], properties: { q: a } },
    ],
  },
  {
    type: 'object',
    properties: { k: { type: 'string' } },
    required: ['k'],
    oneOf: [
      { properties: { k: { const: 'i' }, v: item }, required: ['v'] },
      { properties: { k: { const: 's' }, v: a }, required: ['v'] },
    ],
  },
  {
    type: 'object',
    properties: { a, b: item, c: item },
    oneOf: [{ required: ['a'] }, { required: ['b', 'c'] }],
    additionalProperties: false,
  },
  { type: 'string', anyOf: [{ maxLength: 3 }, { pattern: '^[0-9]{5}$' }] },
  { type: 'object', properties: { a, b: item }, anyOf: [{ required: ['a'] }, { required: ['b'] }] },
])

const combined = named('combined', [
  { allOf: [{ type: 'string' }, { minLength: 2 }, { maxLength: 6 }] },
  { allOf: [{ type: 'integer', minimum: 3 }, { maximum: 8 }], minimum: 4 },
  {
    allOf: [
      { type: 'object', properties: { a }, required: ['a'] },
      { properties: { b: item }, required: ['b'] },
    ],
  },
  {
    allOf: [{ properties: { a: { type: 'integer' } } }, { properties: { a: { minimum: 5, maximum: 6 } }, required: ['a'] }],
    type: 'object',
  },
  { allOf: [{ enum: ['a', 'b', 'c'] }, { enum: ['b', 'c', 'd'] }] },
  {
    allOf: [
      { type: 'array', items: { type: 'integer' } },
      { items: { minimum: 0, maximum: 5 }, maxItems: 3 },
    ],
  },
  { allOf: [{ type: ['string', 'number'] }, { type: ['number', 'null'] }], minimum: 0, maximum: 9 },
  { $ref: '#/$defs/base', maxLength: 6, $defs: { base: { type: 'string', minLength: 2 } } },
  {
    type: 'object',
    properties: { v: { $ref: '#/$defs/n', maximum: 5 } },
    required: ['v'],
    $defs: { n: { type: 'integer', minimum: 1 } },
  },
  {
    allOf: [
      { type: 'object', properties: { a, z: item }, required: ['a'] },
      { properties: { a: true, b: item }, additionalProperties: false },
    ],
  },
])

const references = named('$ref', [
  { $ref: '#/$defs/a~1b', $defs: { 'a/b': item } },
  {
    type: 'array',
    items: { $ref: '#/$defs/p' },
    minItems: 1,
    maxItems: 3,
    $defs: { p: { type: 'object', properties: { x: item }, required: ['x'] } },
  },
  { type: 'object', properties: { first: a, second: { $ref: '#/properties/first' } }, required: ['second'] },
  { $ref: '#/definitions/one', definitions: { one: { $ref: '#/definitions/two' }, two: { type: 'boolean' } } },
])

/** Each keyword by itself, and with those it is used with. */
export const keywordSchemas: readonly NamedSchema[] = [
  ...strings,
  ...numbers,
  ...arrays,
  ...objects,
  ...values,
  ...unions,
  ...combined,
  ...references,
]
