import type { FastifyReply, FastifyRequest } from 'fastify'

export type AnthropicModelsOptions = Readonly<{
  /** The names of the models that can be asked for. */
  listModels: () => Promise<readonly string[]>
  /** Milliseconds since 1970. */
  now: () => number
}>

const defaultLimit = 20
const mostModels = 1000

/**
 * Answers of GET /v1/models and /v1/models/{name}, which two dialects share, in Anthropic's shape. `limit`, `after_id` and `before_id` page
 * through the list.
 */
export function anthropicModels({ listModels, now }: AnthropicModelsOptions) {
  const createdAt = new Date(now()).toISOString()
  const toBody = (id: string) => ({ type: 'model', id, display_name: id, created_at: createdAt })
  return {
    async list(request: FastifyRequest, reply: FastifyReply) {
      const { names, hasMore } = pageOf(await listModels(), addressOf(request).searchParams)
      return send(reply, {
        data: names.map(toBody),
        has_more: hasMore,
        first_id: names[0] ?? null,
        last_id: names.at(-1) ?? null,
      })
    },
    describe: (name: string, reply: FastifyReply) => send(reply, toBody(name)),
  }
}

/** Those who name a version of Anthropic's API. */
export const isForAnthropic = ({ headers }: FastifyRequest) => headers['anthropic-version'] !== undefined

const addressOf = ({ url }: FastifyRequest) => new URL(url, 'http://localhost')

// As text, past the schema of the other dialect.
const send = (reply: FastifyReply, body: object) => reply.type('application/json; charset=utf-8').send(JSON.stringify(body))

function pageOf(names: readonly string[], query: URLSearchParams): Readonly<{ names: readonly string[]; hasMore: boolean }> {
  const limit = Math.min(mostModels, Math.max(1, Math.trunc(Number(query.get('limit'))) || defaultLimit))
  const before = query.get('before_id')
  if (before !== null) {
    const end = Math.max(0, names.indexOf(before))
    const start = Math.max(0, end - limit)
    return { names: names.slice(start, end), hasMore: start > 0 }
  }
  const start = names.indexOf(query.get('after_id') ?? '') + 1
  return { names: names.slice(start, start + limit), hasMore: start + limit < names.length }
}
