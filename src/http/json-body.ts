import type { FastifyBodyParser, FastifyInstance } from 'fastify'
import { AppError } from '../errors.ts'

/**
 * Reads a body as JSON, which is always UTF-8 (RFC 8259). Other bytes are refused: read as if they were text, they would become
 * other characters than the caller meant. For parsers with `parseAs: 'buffer'`.
 */
export function createJsonParser(http: FastifyInstance): FastifyBodyParser<Buffer> {
  const parse = http.getDefaultJsonParser('error', 'error')
  return (request, body, done) => {
    const text = decode(body)
    const { 'content-encoding': encoding = 'identity' } = request.headers
    if (encoding !== 'identity')
      done(new AppError('invalid', 'This Content-Encoding is not accepted here: send the body as it is.'))
    else if (text === undefined)
      done(new AppError('invalid', 'The body must be JSON in UTF-8, but holds bytes that are not UTF-8.'))
    else void parse(request, text, done)
  }
}

function decode(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
