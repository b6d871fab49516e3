import type { FastifyInstance } from 'fastify'
import { AppError } from '../errors.ts'

/** Fields whose value is the caller's own, null included. */
const opaque: ReadonlySet<string> = new Set(['input', 'input_examples', 'input_schema', 'schema'])
/** From the body down to the source of a document in the result of a tool. */
const deepestLevel = 10

/**
 * Before bodies are checked: a null is the same as a field that is left out, and clients send both; tools that run at Anthropic, or are
 * described there, are refused by their kind and not for their fields.
 */
export function readAnthropicBodies(http: FastifyInstance): void {
  http.addHook('preValidation', async (request) => {
    const body = withoutNulls(request.body, 0)
    if (isObject(body) && Array.isArray(body.tools)) body.tools.forEach(refuseBuiltInTool)
    request.body = body
  })
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function withoutNulls(value: unknown, level: number): unknown {
  if (level > deepestLevel) return value
  if (Array.isArray(value)) return value.map((one: unknown) => withoutNulls(one, level + 1))
  if (!isObject(value)) return value
  const fields = Object.entries(value).filter(([, field]) => field !== null)
  return Object.fromEntries(fields.map(([name, field]) => [name, opaque.has(name) ? field : withoutNulls(field, level + 1)]))
}

function refuseBuiltInTool(tool: unknown, index: number): void {
  if (!isObject(tool) || tool.type === undefined || tool.type === 'custom') return
  const field = `tools.${index}.type`
  const expected = '"custom", or left out'
  const got = typeof tool.type === 'string' ? JSON.stringify(tool.type.slice(0, 60)) : 'no text'
  const why = 'Tools that Anthropic runs or describes itself are not there: describe yours by "name" and "input_schema"'
  throw new AppError('invalid', `"${field}" must be ${expected}, but is ${got}. ${why}.`, { details: [{ field, expected, got }] })
}
