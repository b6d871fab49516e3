import AjvCompiler from '@fastify/ajv-compiler'
import selectSerializer from '@fastify/fast-json-stringify-compiler'
import type { FastifySchemaCompiler, FastifySerializerCompiler } from 'fastify'

/** What turns the schemas of routes into functions; Fastify asks both for each schema while a route is added. */
export type SchemaCompilers = Readonly<{
  validator: FastifySchemaCompiler<object>
  serializer: FastifySerializerCompiler<object>
}>

// A misspelt field must be an error, so nothing is dropped. verbose: describe-problem.ts needs the value at fault.
// discriminator: see tagged-union.ts.
const strict = {
  removeAdditional: false,
  coerceTypes: false,
  allErrors: false,
  verbose: true,
  discriminator: true,
} as const

/**
 * Compiles each schema when a request first needs it: all of them at the start would take as long as all else that is done there, and
 * keep code in memory that nobody asks for. Services of one process may share them.
 *
 * What comes in is checked against the schemas of its route. Bodies are taken as they are: the text "10" is no number. The parts
 * that are text by nature (query string, path, headers) are converted.
 */
export function createSchemaCompilers(): SchemaCompilers {
  const compiler = AjvCompiler()
  // What nobody has written is not put into a body: a cloud is told what its caller chose, not what the schema calls usual.
  const body = whenNeeded<Validate>(compiler({}, { customOptions: { ...strict, useDefaults: false } }))
  const text = whenNeeded<Validate>(compiler({}, { customOptions: { ...strict, useDefaults: true, coerceTypes: 'array' } }))
  const serialize = selectSerializer()({})
  const serializer = whenNeeded((route) => serialize({ ...route, httpStatus: route.httpStatus ?? '' }))
  return {
    validator(route) {
      const get = (route.httpPart === 'body' ? body : text)(route)
      const validate: Validate = (value) => get()(value)
      return Object.defineProperty(validate, 'errors', { get: () => get().errors })
    },
    serializer(route) {
      const get = serializer(route)
      return (value) => get()(value)
    },
  }
}

type Route = Parameters<FastifySchemaCompiler<object>>[0]
type Validate = ReturnType<FastifySchemaCompiler<object>>

/** Routes with one schema share what was compiled of it. */
function whenNeeded<Compiled>(compile: (route: Route) => Compiled): (route: Route) => () => Compiled {
  const known = new WeakMap<object, Compiled>()
  return (route) => () => {
    const found = known.get(route.schema)
    if (found !== undefined) return found
    const compiled = compile(route)
    known.set(route.schema, compiled)
    return compiled
  }
}
