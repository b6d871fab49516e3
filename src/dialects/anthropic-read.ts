import type { FastifyInstance } from 'fastify'
import { isJsonObject } from '../engine/json-object.ts'
import { AppError } from '../errors.ts'
import { dropNulls } from './nulls.ts'

/** Where the caller's own data stands. */
const ownFields: ReadonlySet<string> = new Set(['input', 'input_examples', 'input_schema', 'schema'])

/** Before bodies are checked: tools that run at Anthropic, or are described there, are refused by their kind and not for their fields. */
export function readAnthropicBodies(http: FastifyInstance): void {
  dropNulls(http, ownFields)
  http.addHook('preValidation', async ({ body }) => {
    if (isJsonObject(body) && Array.isArray(body.tools)) body.tools.forEach(refuseBuiltInTool)
  })
}

function refuseBuiltInTool(tool: unknown, index: number): void {
  if (!isJsonObject(tool) || tool.type === undefined || tool.type === 'custom') return
  const field = `tools.${index}.type`
  const expected = '"custom", or left out'
  const got = typeof tool.type === 'string' ? JSON.stringify(tool.type.slice(0, 60)) : 'no text'
  const why = 'Tools that Anthropic runs or describes itself are not there: describe yours by "name" and "input_schema"'
  throw new AppError('invalid', `"${field}" must be ${expected}, but is ${got}. ${why}.`, { details: [{ field, expected, got }] })
}
