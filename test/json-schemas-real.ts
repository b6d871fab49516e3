import type { NamedSchema } from './json-schemas.ts'

type Schema = Readonly<Record<string, unknown>>

const text = (maxLength = 40): Schema => ({ type: 'string', minLength: 1, maxLength })
const whole = (minimum = 0, maximum = 1000): Schema => ({ type: 'integer', minimum, maximum })
const number = (minimum: number, maximum: number): Schema => ({ type: 'number', minimum, maximum })
const flag: Schema = { type: 'boolean' }
const oneOf = (...values: readonly unknown[]): Schema => ({ enum: values })
const list = (items: Schema, maxItems = 3, minItems = 0): Schema => ({ type: 'array', items, minItems, maxItems })
const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: 'null' }] })
const format = (name: string): Schema => ({ type: 'string', format: name })
const pattern = (source: string, more: Schema = {}): Schema => ({ type: 'string', pattern: source, ...more })
const ref = (name: string): Schema => ({ $ref: `#/$defs/${name}` })
const open = (properties: Readonly<Record<string, unknown>>, required: readonly string[] = Object.keys(properties)): Schema => ({
  type: 'object',
  properties,
  required,
})
const closed = (properties: Readonly<Record<string, unknown>>, required?: readonly string[]): Schema => ({
  ...open(properties, required),
  additionalProperties: false,
})
const variant = (kind: string, properties: Readonly<Record<string, unknown>>) => closed({ kind: { const: kind }, ...properties })

const address = closed({ street: text(), city: text(), postcode: pattern('^\\d{5}$') })
const money = closed({ amount: number(0, 9999.99), currency: oneOf('EUR', 'USD', 'GBP') })
const point = { type: 'array', prefixItems: [number(-180, 180), number(-90, 90)], items: false, minItems: 2 }

const extraction: readonly NamedSchema[] = [
  ['a person', closed({ name: text(), age: whole(0, 120), email: format('email') })],
  ['an address', address],
  [
    'an invoice',
    closed({
      number: pattern('^F-\\d{4}$'),
      date: format('date'),
      total: money,
      lines: list(closed({ item: text(), price: number(0, 500) }), 2, 1),
    }),
  ],
  ['a recipe', closed({ title: text(), servings: whole(1, 12), steps: list(text(60), 4, 1), vegetarian: flag })],
  [
    'a film',
    closed({
      title: text(),
      year: whole(1900, 2030),
      genres: { type: 'array', items: oneOf('drama', 'comedy', 'horror', 'sci-fi'), uniqueItems: true, minItems: 1 },
    }),
  ],
  ['a calendar event', closed({ title: text(), start: format('date-time'), attendees: list(format('email'), 2) })],
  ['a sentiment', closed({ sentiment: oneOf('positive', 'neutral', 'negative'), confidence: number(0, 1) })],
  ['entities', closed({ entities: list(closed({ text: text(30), type: oneOf('person', 'place', 'organisation') }), 3) })],
  ['a classification', oneOf('spam', 'ham')],
  ['a rating', closed({ stars: whole(1, 5), comment: text(80) })],
  [
    'a résumé',
    closed({
      name: text(),
      skills: list(text(15), 4),
      jobs: list(closed({ company: text(), from: whole(1980, 2026), to: orNull(whole(1980, 2026)) }), 2),
    }),
  ],
  ['a translation', closed({ source: oneOf('en', 'es'), target: oneOf('en', 'es'), text: text(60) })],
  ['a summary', closed({ title: text(), bullets: list(text(60), 3, 1) })],
  ['a question with answers', closed({ question: text(60), options: list(text(20), 4, 2), answer: whole(0, 3) })],
  ['a weather report', closed({ city: text(), temperature: number(-40, 55), unit: oneOf('C', 'F'), rain: flag })],
  ['a product', closed({ sku: pattern('^[A-Z]{3}-[0-9]{3}$'), name: text(), price: money, tags: list(text(12), 3) })],
  ['a book', closed({ title: text(), authors: list(text(25), 2, 1), isbn: pattern('^97[89]-\\d{10}$') })],
  [
    'a bank transfer',
    closed({ iban: pattern('^ES\\d{22}$'), amount: { type: 'number', exclusiveMinimum: 0, maximum: 10_000 }, concept: text(30) }),
  ],
  [
    'a medical note',
    closed({ patient: text(), pulse: whole(30, 220), symptoms: list(text(20), 3), allergies: orNull(list(text(15), 2)) }),
  ],
  [
    'a flight',
    closed({
      from: pattern('^[A-Z]{3}$'),
      to: pattern('^[A-Z]{3}$'),
      departs: format('date-time'),
      seat: pattern('^\\d{1,2}[A-F]$'),
    }),
  ],
  [
    'chain of thought and answer',
    closed({ steps: list(closed({ explanation: text(60), output: text(20) }), 2, 1), final_answer: text(20) }),
  ],
  [
    'a moderation verdict',
    closed({ violates: flag, category: orNull(oneOf('violence', 'hate', 'self-harm')), explanation: orNull(text(60)) }),
  ],
  ['only a yes or no', closed({ answer: flag })],
  ['an optional remark', closed({ id: whole(), remark: text(30) }, ['id'])],
]

const tools: readonly NamedSchema[] = [
  ['arguments of a weather tool', closed({ location: text(), unit: oneOf('celsius', 'fahrenheit') }, ['location'])],
  ['arguments of a search tool', closed({ query: text(), max_results: whole(1, 10), safe: flag }, ['query'])],
  [
    'arguments of a database query',
    closed({ table: oneOf('users', 'orders'), columns: list(oneOf('id', 'name', 'total'), 3, 1), limit: whole(1, 100) }),
  ],
  [
    'arguments of an e-mail tool',
    closed({ to: list(format('email'), 2, 1), subject: text(40), body: text(80), cc: orNull(list(format('email'), 1)) }),
  ],
  ['arguments of a file tool', closed({ path: pattern('^/[a-z]+(?:/[a-z]+){0,3}$'), mode: oneOf('r', 'w', 'a') })],
  [
    'arguments of a shell tool',
    closed({ command: text(40), timeout_ms: { type: 'integer', minimum: 100, maximum: 60_000, multipleOf: 100 } }),
  ],
  [
    'arguments of a calculator',
    closed({ operation: oneOf('+', '-', '*', '/'), operands: list({ type: 'number', minimum: -1000, maximum: 1000 }, 2, 2) }),
  ],
  ['arguments of a booking tool', closed({ date: format('date'), time: format('time'), guests: whole(1, 20) })],
  [
    'arguments of a light switch',
    closed({
      room: oneOf('kitchen', 'bedroom'),
      on: flag,
      brightness: { type: 'integer', minimum: 0, maximum: 100, multipleOf: 5 },
    }),
  ],
  ['arguments of nothing', closed({})],
  ['a call with its name', closed({ name: { const: 'get_time' }, arguments: closed({ zone: text(20) }) })],
  [
    'one of two calls',
    { anyOf: [closed({ name: { const: 'add' }, a: whole(), b: whole() }), closed({ name: { const: 'now' } })] },
  ],
  [
    'a paginated request',
    closed({ page: whole(1, 100), page_size: { enum: [10, 20, 50] }, sort: oneOf('asc', 'desc') }, ['page']),
  ],
  [
    'arguments with a default',
    closed({ city: { ...text(20), default: 'Madrid' }, days: { ...whole(1, 7), default: 3, description: 'How many days.' } }),
  ],
  [
    'arguments with titles, as Pydantic writes them',
    {
      ...closed({ name: { title: 'Name', ...text() }, size: { allOf: [ref('Size')], default: 'm' } }),
      title: 'Order',
      $defs: { Size: { title: 'Size', type: 'string', enum: ['s', 'm', 'l'] } },
    },
  ],
  [
    'a record, as Zod writes it',
    {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      ...closed({
        scores: { type: 'object', propertyNames: { type: 'string' }, additionalProperties: whole(0, 10), maxProperties: 3 },
      }),
    },
  ],
]

const bodies: readonly NamedSchema[] = [
  [
    'a sign-up',
    closed({
      username: pattern('^[a-z][a-z0-9_]*$', { minLength: 3, maxLength: 16 }),
      email: { type: 'string', format: 'email', maxLength: 60 },
      accepts_terms: { const: true },
    }),
  ],
  ['a page of users', closed({ users: list(closed({ id: format('uuid'), name: text(20) }), 2, 1), next: orNull(text(20)) })],
  ['an error', closed({ error: closed({ code: whole(400, 599), message: text(60), details: list(text(20), 2) }) })],
  ['a webhook', closed({ id: format('uuid'), type: oneOf('created', 'deleted'), at: format('date-time'), url: format('uri') })],
  [
    'an order with references',
    {
      ...closed({ customer: ref('person'), ship_to: ref('address'), bill_to: ref('address') }),
      $defs: { person: closed({ name: text() }), address },
    },
  ],
  [
    'a payment method',
    {
      oneOf: [
        variant('card', { number: pattern('^\\d{16}$') }),
        variant('iban', { iban: pattern('^[A-Z]{2}\\d{22}$') }),
        variant('cash', {}),
      ],
    },
  ],
  [
    'a shape',
    {
      anyOf: [
        variant('circle', { radius: number(0, 100) }),
        variant('square', { side: number(0, 100) }),
        variant('polygon', { points: list(point, 4, 3) }),
      ],
    },
  ],
  [
    'a patch',
    list(
      {
        anyOf: [
          closed({ op: { const: 'remove' }, path: format('json-pointer') }),
          closed({ op: oneOf('add', 'replace'), path: format('json-pointer'), value: text(10) }),
        ],
      },
      2,
      1,
    ),
  ],
  ['a GeoJSON point', closed({ type: { const: 'Point' }, coordinates: point })],
  ['a GeoJSON line', closed({ type: { const: 'LineString' }, coordinates: list(point, 3, 2) })],
  ['a discount', { ...open({ percent: whole(1, 90), amount: number(1, 100) }, []), minProperties: 1 }],
  [
    'a contact with one way at least',
    {
      ...open({ phone: pattern('^\\+34 \\d{9}$'), email: format('email') }, []),
      anyOf: [{ required: ['phone'] }, { required: ['email'] }],
      additionalProperties: false,
    },
  ],
  [
    'a subscription',
    closed({
      plan: oneOf('free', 'pro'),
      seats: { type: 'integer', exclusiveMinimum: 0, exclusiveMaximum: 51 },
      renews: format('date'),
      trial: { type: ['boolean', 'null'] },
    }),
  ],
  [
    'a card that needs its address',
    {
      ...open({ card: pattern('^\\d{16}$'), address: text(30), name: text(20) }, ['name']),
      dependentRequired: { card: ['address'] },
    },
  ],
  [
    'OpenAPI: a nullable field',
    closed({
      nick: { type: 'string', maxLength: 12, nullable: true },
      age: { type: 'integer', format: 'int32', minimum: 0, maximum: 120 },
    }),
  ],
  [
    'OpenAPI: a pet',
    { allOf: [ref('Animal'), open({ breed: text(20) })], $defs: { Animal: open({ name: text(20), legs: oneOf(0, 2, 4) }) } },
  ],
  [
    'OpenAPI: a discriminator',
    {
      oneOf: [ref('cat'), ref('dog')],
      discriminator: { propertyName: 'type' },
      $defs: {
        cat: closed({ type: { const: 'cat' }, lives: whole(1, 9) }),
        dog: closed({ type: { const: 'dog' }, barks: flag }),
      },
    },
  ],
  [
    'draft 7: definitions',
    {
      $schema: 'http://json-schema.org/draft-07/schema#',
      ...closed({ home: { $ref: '#/definitions/place' } }),
      definitions: { place: closed({ city: text(20) }) },
    },
  ],
  [
    'a response with a cursor',
    closed({ data: list(whole(), 3), has_more: flag, cursor: { type: ['string', 'null'], maxLength: 10 } }),
  ],
  ['a version', closed({ version: pattern('^\\d{1,2}\\.\\d{1,2}\\.\\d{1,2}(?:-(?:alpha|beta))?$'), released: format('date') })],
]

const config: readonly NamedSchema[] = [
  ['a server configuration', closed({ host: format('ipv4'), port: whole(1, 65_535), tls: flag, workers: whole(1, 16) })],
  [
    'environment variables',
    {
      type: 'object',
      patternProperties: { '^[A-Z]{2,8}$': text(15) },
      additionalProperties: false,
      minProperties: 1,
      maxProperties: 3,
    },
  ],
  ['feature flags', { type: 'object', additionalProperties: flag, maxProperties: 4 }],
  [
    'a linter rule',
    {
      anyOf: [
        oneOf('off', 'warn', 'error'),
        {
          type: 'array',
          prefixItems: [oneOf('off', 'warn', 'error'), closed({ max: whole(1, 100) })],
          items: false,
          minItems: 2,
        },
      ],
    },
  ],
  [
    'a logger',
    closed({
      level: oneOf('debug', 'info', 'warn', 'error'),
      file: orNull(pattern('^[a-z]+\\.log$', { maxLength: 20 })),
      rotate_days: whole(1, 30),
    }),
  ],
  ['a schedule', closed({ cron: pattern('^[0-5]?\\d [01]?\\d \\* \\* [0-6]$'), command: text(30) })],
  [
    'a container',
    closed({
      image: pattern('^[a-z]+(?:/[a-z]+)?:\\d\\.\\d$', { maxLength: 30 }),
      ports: list(whole(1, 65_535), 2),
      env: { type: 'object', propertyNames: { pattern: '^[A-Z]{2,6}$' }, additionalProperties: text(10), maxProperties: 2 },
    }),
  ],
  [
    'a workflow',
    closed({
      on: { type: 'array', items: oneOf('push', 'pull_request'), uniqueItems: true, minItems: 1 },
      jobs: list(closed({ name: text(15), runs: text(25) }), 2, 1),
    }),
  ],
  ['a theme', closed({ background: pattern('^#[0-9a-f]{6}$'), font: oneOf('serif', 'sans'), scale: number(0.5, 2) })],
  [
    'sampling parameters',
    closed({ temperature: number(0, 2), top_p: { type: 'number', exclusiveMinimum: 0, maximum: 1 }, seed: orNull(whole()) }),
  ],
  ['a network', closed({ address: format('ipv4'), prefix: whole(8, 32), v6: format('ipv6'), name: format('hostname') })],
  [
    'a retry policy',
    closed({ attempts: whole(0, 5), wait: format('duration'), factor: { type: 'number', minimum: 1.5, maximum: 4 } }),
  ],
]

const recursive: readonly NamedSchema[] = [
  ['a tree', { ...ref('node'), $defs: { node: closed({ name: text(10), children: list(ref('node'), 2) }) } }],
  ['a linked list', closed({ value: whole(0, 9), next: orNull({ $ref: '#' }) })],
  [
    'an expression',
    {
      ...ref('expression'),
      $defs: {
        expression: { anyOf: [whole(0, 99), closed({ op: oneOf('+', '*'), left: ref('expression'), right: whole(0, 99) })] },
      },
    },
  ],
  [
    'a comment thread',
    { ...ref('comment'), $defs: { comment: closed({ author: text(12), text: text(40), replies: list(ref('comment'), 1) }) } },
  ],
  [
    'a user interface',
    {
      ...ref('part'),
      $defs: { part: closed({ type: oneOf('div', 'button', 'input'), label: text(15), children: list(ref('part'), 2) }) },
    },
  ],
  [
    'a file system',
    {
      ...ref('entry'),
      $defs: {
        entry: {
          anyOf: [
            variant('file', { name: text(12), size: whole() }),
            variant('folder', { name: text(12), entries: list(ref('entry'), 2) }),
          ],
        },
      },
    },
  ],
  [
    'a filter',
    {
      ...ref('filter'),
      $defs: {
        filter: { anyOf: [closed({ field: oneOf('age', 'name'), is: text(10) }), closed({ and: list(ref('filter'), 2, 1) })] },
      },
    },
  ],
  [
    'a family with inheritance',
    {
      ...ref('person'),
      $defs: { named: open({ name: text(12) }), person: { allOf: [ref('named'), open({ children: list(ref('person'), 1) })] } },
    },
  ],
]

const languages: readonly NamedSchema[] = [
  ['una persona, en español', closed({ nombre: text(25), edad: whole(0, 120), país: oneOf('España', 'México', 'Perú') })],
  [
    'un piso en alquiler',
    closed({ dirección: text(40), 'precio_€': number(300, 3000), habitaciones: whole(1, 6), 'mascotas permitidas': flag }),
  ],
  [
    'una receta de cocina',
    closed({
      título: text(25),
      ingredientes: list(closed({ nombre: text(15), cantidad: number(0.5, 10), unidad: oneOf('g', 'ml', 'cucharada') }), 2, 1),
      dificultad: oneOf('fácil', 'media', 'difícil'),
    }),
  ],
  ['una matrícula', closed({ matricula: pattern('^\\d{4} [BCDFGHJKLMNPRSTVWXYZ]{3}$'), año: whole(1980, 2026) })],
  ['un DNI', pattern('^\\d{8}[A-Z]$')],
  [
    'un nombre con acentos',
    closed({ apellido: pattern('^[A-ZÁÉÍÓÚÑ][a-záéíóúñü]+(?: [A-ZÁÉÍÓÚÑ][a-záéíóúñü]+)?$', { maxLength: 30 }) }),
  ],
  ['keys in Chinese and Japanese', closed({ 名前: text(12), 年齢: whole(0, 120), 城市: oneOf('北京', '東京') })],
  ['keys in Russian and Arabic', closed({ имя: text(12), العمر: whole(0, 120) })],
  ['keys with emoji', closed({ '😀': flag, '🚗 color': oneOf('🔴', '🟢') })],
  [
    'keys with quotes and slashes',
    closed({ 'a "quoted" key': whole(), 'a/b': flag, 'back\\slash': flag, 'tab\tnew\nline': { type: 'null' } }),
  ],
  ['keys that JavaScript knows', closed({ constructor: whole(), toString: flag, length: whole() })],
  ['an empty key', closed({ '': whole(0, 9), ' ': flag })],
]

/** Shapes that people ask models for. */
export const realSchemas: readonly NamedSchema[] = [...extraction, ...tools, ...bodies, ...config, ...recursive, ...languages]
