import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { AppError } from '../errors.ts'
import { errorBody } from '../http/error-reply.ts'
import { clientGone } from '../http/event-stream.ts'
import { readForms, toFormError } from '../http/forms.ts'
import { formatLine, ndjson } from '../http/ndjson.ts'
import type { TempFile, TempFiles } from '../rag/temp-files.ts'
import type { Exports } from './export.ts'
import type { Owner, Owners } from './owner.ts'
import { byConversation, exportQuery, type ImportAnswer, importAnswer } from './schema.ts'

export type TransferRoutesOptions = Readonly<{
  owners: Owners
  exports: Exports
  importFrom: (owner: Owner, chunks: AsyncIterable<string>, signal: AbortSignal) => Promise<ImportAnswer>
  tempFiles: Pick<TempFiles, 'save' | 'remove'>
  maxBytes: number
}>

const tags = ['conversations']
const failures = { '4xx': errorBody, '5xx': errorBody }
/** A form is somewhat larger than its file. */
const formBytes = 65_536

/** Exports and imports, for the caller scope. */
export function transferRoutes(options: TransferRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    await http.register(exportRoutes(options))
    await http.register(importRoutes(options))
  }
}

function exportRoutes({ owners, exports }: TransferRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const whole = { tags, summary: 'All of your conversations, a line of JSON each, with all branches' }
    http.get('/conversations/export', { schema: whole }, async (request, reply) => {
      reply.type(ndjson).header('content-disposition', attachment('conversations.jsonl'))
      return reply.send(Readable.from(exports.all(owners.find(request))))
    })

    const one = {
      tags,
      summary: 'One conversation, as a line of JSON with all branches or as markdown of the one that is shown',
      params: byConversation,
      querystring: exportQuery,
    }
    type Export = { Params: Static<typeof byConversation>; Querystring: Static<typeof exportQuery> }
    http.get<Export>('/conversations/:id/export', { schema: one }, async (request, reply) => {
      const owner = owners.find(request)
      const { id } = request.params
      if (request.query.format === 'markdown') {
        const { title, text } = await exports.markdown(owner, id)
        reply.type('text/markdown; charset=utf-8').header('content-disposition', attachment(`${nameOf(title)}.md`))
        return reply.send(text)
      }
      const exported = await exports.json(owner, id)
      reply.type('application/json; charset=utf-8')
      reply.header('content-disposition', attachment(`${nameOf(exported.title)}.json`))
      return reply.send(formatLine(exported))
    })
  }
}

const nameOf = (title: string) =>
  title
    .replaceAll(/[^\p{L}\p{N}\p{M} ._-]+/gu, ' ')
    .trim()
    .slice(0, 80)
    .toWellFormed() || 'conversation'

const attachment = (name: string) => `attachment; filename*=UTF-8''${encodeURIComponent(name)}`

function importRoutes({ owners, importFrom, tempFiles, maxBytes }: TransferRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    await readForms(http)
    const schema = {
      tags,
      summary: 'Import conversations: lines that were exported here, or the conversations.json of ChatGPT',
      description:
        'A form with one `file`. What cannot be read is told in `skipped`, by its line (or place in the list), and the rest is kept.',
      consumes: ['multipart/form-data'],
      response: { 201: importAnswer, ...failures },
    }
    http.post('/conversations/import', { schema }, async (request, reply) => {
      if (!request.isMultipart()) throw new AppError('invalid', 'Send the file as multipart/form-data, in the field "file".')
      const signal = clientGone(reply)
      const file = await receiveFile(request, { tempFiles, maxBytes, signal })
      try {
        const chunks = createReadStream(file.path, { encoding: 'utf8' })
        const answer = await importFrom(owners.open(request, reply), chunks, signal)
        reply.code(201)
        return answer
      } finally {
        await tempFiles.remove([file])
      }
    })
  }
}

type Receiving = Pick<TransferRoutesOptions, 'tempFiles' | 'maxBytes'> & Readonly<{ signal: AbortSignal }>

/** The one file of a form. Throws `too_large`, `invalid`; nothing is left of it then. */
async function receiveFile(request: FastifyRequest, { tempFiles, maxBytes, signal }: Receiving): Promise<TempFile> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes + formBytes) throw tooLarge(maxBytes)
  const saved: TempFile[] = []
  try {
    for await (const part of request.parts({ limits: { files: 2, fields: 1, fileSize: maxBytes + 1 } })) {
      if (part.type !== 'file') throw wrongForm(`the field "${String(part.fieldname).slice(0, 100)}"`)
      if (saved.length > 0) throw wrongForm('several files')
      saved.push(await tempFiles.save(part.file, maxBytes, signal))
    }
    const [file] = saved
    if (file === undefined) throw wrongForm('no file')
    return file
  } catch (error) {
    await tempFiles.remove(saved)
    throw toUploadError(error, maxBytes)
  }
}

const wrongForm = (got: string) =>
  new AppError('invalid', `"file" must be one file, and nothing else, but the form holds ${got}.`, {
    details: [{ field: 'file', expected: 'one file', got }],
  })

function tooLarge(maxBytes: number): AppError {
  const most = maxBytes >= 1024 ** 2 ? `${Math.floor(maxBytes / 1024 ** 2)} MB` : `${maxBytes} bytes`
  return new AppError('too_large', `The file may have ${most} at most (MAX_DOCUMENT_BYTES). Split it, or raise the setting.`)
}

/** What the reader of forms and the temporary files say, in the words of this feature. */
function toUploadError(error: unknown, maxBytes: number): unknown {
  if (error instanceof AppError) return error.code === 'too_large' ? tooLarge(maxBytes) : error
  return toFormError(error)
}
