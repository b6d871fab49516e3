import AjvCompiler from '@fastify/ajv-compiler'
import type { FastifySchemaCompiler } from 'fastify'

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
 * Checks what comes in against the schemas of its route. Bodies are taken as they are: the text "10" is no number. The parts
 * that are text by nature (query string, path, headers) are converted.
 */
export function createValidatorCompiler(): FastifySchemaCompiler<object> {
  const compiler = AjvCompiler()
  // What nobody has written is not put into a body: a cloud is told what its caller chose, not what the schema calls usual.
  const body = compiler({}, { customOptions: { ...strict, useDefaults: false } })
  const text = compiler({}, { customOptions: { ...strict, useDefaults: true, coerceTypes: 'array' } })
  return (route) => (route.httpPart === 'body' ? body : text)(route)
}
