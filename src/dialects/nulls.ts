import type { FastifyInstance } from 'fastify'

/**
 * In the APIs of these dialects a null is the same as a field that is left out, at any depth, and clients send both. What stands in an
 * `opaqueFields` is the caller's own: a null there means something.
 */
export function dropNulls(http: FastifyInstance, opaqueFields: ReadonlySet<string>): void {
  http.addHook('preValidation', async (request) => {
    request.body = withoutNulls(request.body, opaqueFields)
  })
}

function withoutNulls(value: unknown, opaque: ReadonlySet<string>): unknown {
  if (Array.isArray(value)) return value.map((one: unknown) => withoutNulls(one, opaque))
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  const fields = Object.entries(value).filter(([, field]) => field !== null)
  return Object.fromEntries(fields.map(([name, field]) => [name, opaque.has(name) ? field : withoutNulls(field, opaque)]))
}
