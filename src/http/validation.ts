import AjvCompiler from '@fastify/ajv-compiler'
import type { FastifySchemaCompiler } from 'fastify'

// A misspelt field must be an error, so nothing is dropped. verbose: describe-problem.ts needs the value at fault.
// discriminator: see tagged-union.ts.
const strict = {
  removeAdditional: false,
  coerceTypes: false,
  useDefaults: true,
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
  const body = compiler({}, { customOptions: { ...strict } })
  const text = compiler({}, { customOptions: { ...strict, coerceTypes: 'array' } })
  return (route) => (route.httpPart === 'body' ? body : text)(route)
}
