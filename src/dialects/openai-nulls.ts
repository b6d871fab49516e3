import type { FastifyInstance } from 'fastify'

/** What the caller's own data stands in: a null there means something. */
const opaqueFields: ReadonlySet<string> = new Set(['schema', 'parameters', 'metadata', 'parsed', 'parsed_arguments'])

/** In OpenAI's API a null is the same as a field that is left out, at any depth, and clients send both. */
export function dropNulls(http: FastifyInstance): void {
  http.addHook('preValidation', async (request) => {
    request.body = withoutNulls(request.body)
  })
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([, field]) => field !== null)
  return Object.fromEntries(fields.map(([name, field]) => [name, opaqueFields.has(name) ? field : withoutNulls(field)]))
}
