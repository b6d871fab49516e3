import { errorsOfKind, meaningOf, statusesOf } from './api-errors.ts'
import { type MediaType, type RouteFacts, routeFacts, tagDescriptions } from './api-facts.ts'
import { withNulls } from './api-nulls.ts'
import { errorBody } from './error-reply.ts'
import type { Scope } from './server.ts'

export type JsonSchema = Readonly<{
  type?: string
  description?: string
  properties?: Readonly<Record<string, JsonSchema>>
  required?: readonly string[]
  items?: JsonSchema
  additionalProperties?: boolean | JsonSchema
  anyOf?: readonly JsonSchema[]
  oneOf?: readonly JsonSchema[]
  allOf?: readonly JsonSchema[]
  format?: string
  enum?: readonly string[]
  default?: unknown
}>
type Content<Schema = JsonSchema> = Readonly<Record<string, Readonly<{ schema?: Schema; example?: unknown }>>>
type ResponseObject = Readonly<{ $ref?: string; description?: string; headers?: object; content?: Content<object> }>
export type Parameter = Readonly<{ in: string; name: string; required?: boolean; description?: string; schema: JsonSchema }>
export type Operation = Readonly<{
  operationId?: string
  summary?: string
  description?: string
  tags?: readonly string[]
  parameters?: readonly Parameter[]
  requestBody?: Readonly<{ required: boolean; content: Content }>
  responses: Readonly<Record<string, ResponseObject>>
  security?: ReadonlyArray<Readonly<Record<string, readonly string[]>>>
  /** Who may call it, and what a key must be allowed; without it no key may. */
  'x-callers'?: Scope
  'x-key-scope'?: string
}>
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>
export type ApiDocument = Readonly<{
  openapi: string
  info: object
  paths: Paths
  tags?: readonly object[]
  components?: Readonly<Record<string, object>>
}>

export type DocumentOptions = Readonly<{ allowAnonymous: boolean; cookieName: string }>

/** The whole document: what the schemas of the routes say, with who may call, how each fails, and in which forms it answers. */
export function completeDocument(made: ApiDocument, options: DocumentOptions): ApiDocument {
  const responses = new Map<string, ResponseObject>()
  const paths = mapValues(splitPaths(made.paths), (operations, path) =>
    mapValues(operations, (operation, method) => completeOperation({ method, path, operation, responses }, options)),
  )
  return {
    openapi: made.openapi,
    info: made.info,
    tags: Object.entries(tagDescriptions).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      ...made.components,
      responses: Object.fromEntries([...responses].sort(([one], [other]) => one.localeCompare(other))),
      headers: { 'x-request-id': requestIdHeader },
      securitySchemes: securitySchemes(options.cookieName),
    },
  }
}

/** A route with a wildcard stands for several endpoints where what comes after the name says what is to be done. */
function splitPaths(paths: Paths): Paths {
  return Object.fromEntries(
    Object.entries(paths).flatMap(([path, operations]): Array<[string, Readonly<Record<string, Operation>>]> => {
      if (path !== '/models/{name}') return [[path, operations]]
      const { post, ...others } = operations
      if (post === undefined) return [[path, operations]]
      const load = { ...post, summary: 'Bring a model into memory' }
      const unload = { ...post, summary: 'Take a model out of memory, once nobody uses it' }
      return [
        ['/models/{name}', others],
        ['/models/{name}/load', { post: load }],
        ['/models/{name}/unload', { post: unload }],
      ]
    }),
  )
}

type Making = Readonly<{ method: string; path: string; operation: Operation; responses: Map<string, ResponseObject> }>

function completeOperation(making: Making, options: DocumentOptions): Operation {
  const { method, path, operation } = making
  const facts = routeFacts[`${method.toUpperCase()} ${path}`] ?? {}
  const { 'x-callers': scope = 'public', requestBody } = operation
  const parameters = (operation.parameters ?? []).map(toOptional)
  const body = nullable(operation, bodyOf(requestBody, facts))
  const kind = {
    method: method.toUpperCase(),
    path,
    scope,
    hasPathParameters: parameters.some((parameter) => parameter.in === 'path'),
    hasQuery: parameters.some((parameter) => parameter.in === 'query'),
    hasBody: body !== undefined,
  }
  const loopback = facts.openOnLoopback === true ? (['unauthorized'] as const) : []
  const errors = [...errorsOfKind(kind), ...loopback, ...(facts.errors ?? [])]
  return {
    ...operation,
    ...(parameters.length === 0 ? {} : { parameters }),
    operationId: operationIdOf(method, path),
    ...(body === undefined ? {} : { requestBody: body }),
    responses: {
      ...successesOf(operation.responses, facts, path),
      ...failuresOf(making, [...statusesOf(errors), ...(facts.otherStatus === undefined ? [] : [facts.otherStatus])]),
    },
    security: securityOf(operation, facts, options),
  }
}

/** What is put in where it is missing need not be given. */
function toOptional(parameter: Parameter): Parameter {
  return parameter.in === 'query' && parameter.schema.default !== undefined ? { ...parameter, required: false } : parameter
}

/** post /v1/chat/completions: postV1ChatCompletions. */
function operationIdOf(method: string, path: string): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
  return method + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

function bodyOf(requestBody: Operation['requestBody'], { example, form }: RouteFacts): Operation['requestBody'] {
  if (form === undefined && example === undefined) return requestBody
  const content = mapValues(requestBody?.content ?? {}, (media) => (example === undefined ? media : { ...media, example }))
  const json: JsonSchema = content['application/json']?.schema ?? {}
  return {
    required: true,
    content: { ...content, ...(form === undefined ? {} : { 'multipart/form-data': { schema: formOf(json, form) } }) },
  }
}

/** In the APIs of others a null is the same as a field that is left out. */
function nullable(operation: Operation, body: Operation['requestBody']): Operation['requestBody'] {
  if (body === undefined || dialectOf(operation) === undefined) return body
  const content = mapValues(body.content, ({ schema, ...media }) => ({
    ...media,
    ...(schema === undefined ? {} : { schema: withNulls(schema) }),
  }))
  return { ...body, content }
}

const dialectOf = ({ tags = [] }: Operation) => tags.find((tag) => ['openai', 'anthropic', 'ollama'].includes(tag))

function formOf({ properties = {}, required = [] }: JsonSchema, { files, without }: NonNullable<RouteFacts['form']>): JsonSchema {
  const binary = { type: 'string', format: 'binary' }
  const fields = Object.entries(properties).filter(([name]) => !without.includes(name))
  return {
    type: 'object',
    properties: { file: files === 'one' ? binary : { type: 'array', items: binary }, ...Object.fromEntries(fields) },
    required: ['file', ...required.filter((name) => !without.includes(name))],
    additionalProperties: false,
  }
}

const schemaOfMedia: Readonly<Partial<Record<MediaType, JsonSchema>>> = {
  'text/event-stream': { type: 'string', description: 'Server-sent events, as the description says.' },
  'application/x-ndjson': { type: 'string', description: 'A JSON object a line.' },
  'text/csv': { type: 'string' },
  'text/markdown': { type: 'string' },
  'text/plain': { type: 'string' },
  'application/json': { type: 'object' },
}

const requestIdHeader = {
  description: 'Names the request in the log.',
  required: true,
  schema: { type: 'string', minLength: 1 },
}
const usualHeaders = { 'x-request-id': { $ref: '#/components/headers/x-request-id' } }

function successesOf(responses: Operation['responses'], facts: RouteFacts, path: string): Operation['responses'] {
  if (path.endsWith('/ws')) return { 101: { description: 'The socket is open.' } }
  const { answers, alsoAnswers = [] } = facts
  const wanted = (media: readonly MediaType[]) =>
    Object.fromEntries(media.map((type) => [type, { schema: schemaOfMedia[type] ?? {} }]))
  if (answers !== undefined) return { 200: { description: describe(200), headers: usualHeaders, content: wanted(answers) } }
  const entries = Object.entries(responses).filter(([status]) => status.startsWith('2'))
  return Object.fromEntries(
    entries.map(([status, { content, ...response }]) => {
      const forms = { ...content, ...wanted(alsoAnswers) }
      const body = Object.keys(forms).length === 0 ? {} : { content: forms }
      return [status, { ...response, description: describe(Number(status)), headers: usualHeaders, ...body }]
    }),
  )
}

const describe = (status: number) => ({ 201: 'Made.', 202: 'Begun.', 204: 'Done; there is no body.' })[status] ?? 'Done.'

/** The shapes of errors: one for each API, as its routes declare it. */
function failuresOf({ operation, responses }: Making, statuses: readonly number[]): Operation['responses'] {
  const dialect = dialectOf(operation) ?? 'own'
  const schema = operation.responses['4XX']?.content?.['application/json']?.schema ?? errorBody
  return Object.fromEntries(
    statuses.map((status) => {
      const name = `${dialect}-${status}`
      responses.set(name, {
        description: meaningOf[status] ?? 'Failed.',
        headers: { ...usualHeaders, ...headersOf(status) },
        content: { 'application/json': { schema } },
      })
      return [status, { $ref: `#/components/responses/${name}` }]
    }),
  )
}

function headersOf(status: number): object {
  const seconds = { schema: { type: 'integer', minimum: 1 } }
  const retry = { 'retry-after': { description: 'Seconds to wait before the next try.', required: true, ...seconds } }
  const count = (description: string) => ({ description, schema: { type: 'integer', minimum: 0 } })
  switch (status) {
    case 401:
      return { 'www-authenticate': { description: 'How to sign in.', schema: { type: 'string' } } }
    case 429:
      return {
        ...retry,
        'ratelimit-limit': count('Requests in a window; where the rate was the matter.'),
        'ratelimit-remaining': count('Requests that are left in it.'),
        'ratelimit-reset': count('Seconds until it begins anew.'),
      }
    case 503:
    case 529:
      return retry
    default:
      return {}
  }
}

function securityOf(
  operation: Operation,
  facts: RouteFacts,
  { allowAnonymous }: DocumentOptions,
): NonNullable<Operation['security']> {
  const { 'x-callers': scope = 'public', 'x-key-scope': keyScope } = operation
  if (scope === 'public' && facts.openOnLoopback !== true) return []
  const keys = keyScope === undefined ? [] : [{ key: [] }, { header_key: [] }]
  const anybody = facts.openOnLoopback === true || (scope === 'caller' && allowAnonymous) ? [{}] : []
  return [{ token: [] }, { cookie: [] }, ...keys, ...anybody]
}

function securitySchemes(cookieName: string): object {
  return {
    token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'The token of a login.' },
    cookie: {
      type: 'apiKey',
      in: 'cookie',
      name: cookieName,
      description:
        'The same token, as POST /auth/login sets it. What changes something is taken with it from the own pages alone.',
    },
    key: { type: 'http', scheme: 'bearer', description: 'An API key (`sk-simpleia-…`) with the scope that `x-key-scope` names.' },
    header_key: {
      type: 'apiKey',
      in: 'header',
      name: 'x-api-key',
      description: 'The same key, where clients of Anthropic put it.',
    },
  }
}

function mapValues<From, To>(record: Readonly<Record<string, From>>, map: (value: From, key: string) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]))
}
