import type { FastifyRequest } from 'fastify'
import { isJsonObject } from '../engine/json-object.ts'

/** Hook in front of the validation: names the type of the items for which OpenAI lets it be left out, messages and references. */
export async function nameItemTypes(request: FastifyRequest): Promise<void> {
  const { body } = request
  if (!isJsonObject(body) || !Array.isArray(body.input)) return
  request.body = { ...body, input: body.input.map(nameType) }
}

function nameType(item: unknown): unknown {
  if (!isJsonObject(item) || 'type' in item) return item
  if ('role' in item) return { type: 'message', ...item }
  return 'id' in item ? { type: 'item_reference', ...item } : item
}
