import type { FastifyRequest } from 'fastify'

/** Hook in front of the validation: names the type of the items for which OpenAI lets it be left out, messages and references. */
export async function nameItemTypes(request: FastifyRequest): Promise<void> {
  const { body } = request
  if (!isObject(body) || !Array.isArray(body.input)) return
  request.body = { ...body, input: body.input.map(nameType) }
}

function nameType(item: unknown): unknown {
  if (!isObject(item) || 'type' in item) return item
  if ('role' in item) return { type: 'message', ...item }
  return 'id' in item ? { type: 'item_reference', ...item } : item
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
