import type { FastifyReply, FastifyRequest, preHandlerAsyncHookHandler } from 'fastify'

export type AnthropicModelsOptions = Readonly<{
  /** The names of the models that can be asked for. */
  listModels: () => Promise<readonly string[]>
  /** Milliseconds since 1970. */
  now: () => number
}>

const defaultLimit = 20
const mostModels = 1000

/**
 * For GET /v1/models, which two dialects share: answers in Anthropic's shape those who name a version of Anthropic's API, and lets
 * all others pass. `limit`, `after_id` and `before_id` page through the list.
 */
export function anthropicModels({ listModels, now }: AnthropicModelsOptions): preHandlerAsyncHookHandler {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    if (request.headers['anthropic-version'] === undefined) return
    const createdAt = new Date(now()).toISOString()
    const page = pageOf(await listModels(), new URL(request.url, 'http://localhost').searchParams)
    const data = page.names.map((id) => ({ type: 'model', id, display_name: id, created_at: createdAt }))
    const body = { data, has_more: page.hasMore, first_id: page.names[0] ?? null, last_id: page.names.at(-1) ?? null }
    // As text, past the schema of the other dialect.
    return reply.type('application/json; charset=utf-8').send(JSON.stringify(body))
  }
}

function pageOf(names: readonly string[], query: URLSearchParams): Readonly<{ names: readonly string[]; hasMore: boolean }> {
  const limit = Math.min(mostModels, Math.max(1, Math.trunc(Number(query.get('limit') ?? defaultLimit)) || defaultLimit))
  const before = query.get('before_id')
  if (before !== null) {
    const end = Math.max(0, names.indexOf(before))
    const start = Math.max(0, end - limit)
    return { names: names.slice(start, end), hasMore: start > 0 }
  }
  const after = query.get('after_id')
  const start = after === null ? 0 : names.indexOf(after) + 1
  return { names: names.slice(start, start + limit), hasMore: start + limit < names.length }
}
