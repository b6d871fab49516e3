import multipart from '@fastify/multipart'
import type { FastifyInstance } from 'fastify'
import { AppError } from '../errors.ts'

/**
 * Lets the routes of a scope read forms with files. For those routes alone: elsewhere a form that a foreign page can send must not be
 * understood. A POST without a body, and a form whose header does not say how its parts are told apart, are refused as `invalid`.
 */
export async function readForms(http: FastifyInstance): Promise<void> {
  await http.register(multipart)
  http.addHook('preValidation', async (request) => {
    if (request.isMultipart()) return refuseWithoutBoundary(request.headers['content-type'])
    // The schema of a body that comes in several forms is asked for none of them where there is no body.
    if (request.method === 'POST' && request.body === undefined)
      throw new AppError('invalid', 'The body is empty, but JSON or a form (multipart/form-data) was expected.')
  })
}

function refuseWithoutBoundary(contentType = ''): void {
  if (/;\s*boundary=(?:"[^"]+"|[^\s;"]+)/i.test(contentType)) return
  throw new AppError('invalid', 'A form needs its boundary in Content-Type: multipart/form-data; boundary=…')
}

/**
 * What went wrong while a form was read, in the words of this service: `invalid` where the form is at fault. The reader of forms throws errors
 * with codes of its own (FST_…), and its parser plain ones without any; what fails on this side has another class or another code.
 */
export function toFormError(error: unknown): unknown {
  if (error instanceof AppError || !(error instanceof Error)) return error
  const isReader = 'code' in error && typeof error.code === 'string' && error.code.startsWith('FST_')
  const isParser = !('code' in error) && error.constructor === Error
  return isReader || isParser
    ? new AppError('invalid', 'The form cannot be read: it is cut off or not what its header says.', { cause: error })
    : error
}
