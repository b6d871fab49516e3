import { failuresOf, requestIdHeader, successesOf } from './api-answers.ts'
import { errorsOfKind, statusesOf } from './api-errors.ts'
import { type RouteFacts, routeFacts, tagDescriptions } from './api-facts.ts'
import { withNulls } from './api-nulls.ts'
import { dialectOf, type JsonSchema, type Operation, type Parameter, type ResponseObject } from './api-operation.ts'

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
