import selectSerializer from '@fastify/fast-json-stringify-compiler'
import type { FastifySchemaCompiler } from 'fastify'
import type { SchemaCompilers } from '../src/http/server.ts'
import { createValidatorCompiler } from '../src/http/validation.ts'

type RouteSchema = Parameters<FastifySchemaCompiler<object>>[0]

const compileValidator = createValidatorCompiler()
// What Fastify compiles with where nothing else is given.
const compileSerializer = selectSerializer()({})
const validators = { text: new WeakMap<object, Validate>(), body: new WeakMap<object, Validate>() }
const serializers = new WeakMap<object, (value: unknown) => string>()

type Validate = ReturnType<typeof compileValidator>

/**
 * The compilers of the service, shared by all services of a process: a schema is compiled once, when a request first needs it.
 * A service spends most of its start on compiling what a test never asks for.
 */
export const sharedSchemaCompilers: SchemaCompilers = {
  validator(route) {
    const known = validators[route.httpPart === 'body' ? 'body' : 'text']
    const get = () => getOrCompile(known, route, compileValidator)
    const validate: Validate = (value) => get()(value)
    Object.defineProperty(validate, 'errors', { get: () => get().errors })
    return validate
  },
  serializer(route) {
    return (value) =>
      getOrCompile(serializers, route, ({ schema, ...rest }) => compileSerializer({ ...named(rest), schema }))(value)
  },
}

function named({ method, url, httpStatus = '' }: Omit<RouteSchema, 'schema'>) {
  return { method, url, httpStatus }
}

function getOrCompile<Compiled>(known: WeakMap<object, Compiled>, route: RouteSchema, compile: (route: RouteSchema) => Compiled) {
  const compiled = known.get(route.schema) ?? compile(route)
  known.set(route.schema, compiled)
  return compiled
}
