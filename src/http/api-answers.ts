import { meaningOf } from './api-errors.ts'
import type { MediaType, RouteFacts } from './api-facts.ts'
import { dialectOf, type JsonSchema, type Operation, type ResponseObject } from './api-operation.ts'
import { errorBody } from './error-reply.ts'

export const requestIdHeader = {
  description: 'Names the request in the log.',
  required: true,
  schema: { type: 'string', minLength: 1 },
}

// Of events and lines the schema would be that of each one, as some readers of such documents have it: they have several.
const schemaOfMedia: Readonly<Partial<Record<MediaType, JsonSchema>>> = {
  'text/event-stream': { description: 'Server-sent events, as the description says.' },
  'application/x-ndjson': { description: 'A JSON object a line.' },
  'text/csv': { type: 'string' },
  'text/markdown': { type: 'string' },
  'text/plain': { type: 'string' },
  'application/json': { type: 'object' },
}

/** Each answer carries the id of its request, by which the log knows it. */
const usualHeaders = { 'x-request-id': { $ref: '#/components/headers/x-request-id' } }

/** The answers to what has worked, in all of their forms. */
export function successesOf(responses: Operation['responses'], facts: RouteFacts, path: string): Operation['responses'] {
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
export function failuresOf({ operation, responses }: Failing, statuses: readonly number[]): Operation['responses'] {
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

type Failing = Readonly<{
  operation: Operation
  /** Where the shared responses are gathered. */
  responses: Map<string, ResponseObject>
}>
