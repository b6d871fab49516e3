import type { FastifyInstance } from 'fastify'
import { wrongField } from './openai-refusal.ts'

/** What the caller's own data stands in: a null there means something. */
const opaqueFields: ReadonlySet<string> = new Set(['schema', 'parameters', 'metadata', 'parsed', 'parsed_arguments'])

/** Levels of a request, and of a caller's own data in it: more would be too deep for what reads them one inside the other. */
const mostLevels = 64
const mostOpaqueLevels = 500

/** In OpenAI's API a null is the same as a field that is left out, at any depth, and clients send both. */
export function dropNulls(http: FastifyInstance): void {
  http.addHook('preValidation', async (request) => {
    request.body = withoutNulls(request.body, [])
  })
}

function withoutNulls(value: unknown, path: readonly string[]): unknown {
  if (!isObject(value)) return value
  if (path.length >= mostLevels) throw tooDeep(path.slice(0, 1), mostLevels)
  if (Array.isArray(value)) return value.map((one, index) => withoutNulls(one, [...path, String(index)]))
  const fields = Object.entries(value).filter(([, field]) => field !== null)
  return Object.fromEntries(fields.map(([name, field]) => [name, read(name, field, [...path, name])]))
}

function read(name: string, field: unknown, path: readonly string[]): unknown {
  if (!opaqueFields.has(name)) return withoutNulls(field, path)
  if (isDeeper(field, mostOpaqueLevels)) throw tooDeep(path, mostOpaqueLevels)
  return field
}

function isDeeper(value: unknown, levels: number): boolean {
  let layer = [value]
  for (let level = 0; level <= levels; level += 1) {
    layer = layer.flatMap((one): unknown[] => (isObject(one) ? Object.values(one) : []))
    if (layer.length === 0) return false
  }
  return true
}

const tooDeep = (path: readonly string[], levels: number) =>
  wrongField(path.join('.') || 'body', `nested at most ${levels} levels deep`, 'deeper')

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
