import { setTimeout } from 'node:timers/promises'
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { AppError } from '../errors.ts'
import { toAppError } from '../http/error-reply.ts'
import { clientGone, sendEventStream, withHeartbeats } from '../http/event-stream.ts'
import { formatLine, ndjson } from '../http/ndjson.ts'
import type { PullEvent } from '../models/download-events.ts'
import type { Pulls } from '../models/pulls.ts'
import { eitherName, modelName, prepareOllamaScope, readEitherName, toModelName } from './ollama-border.ts'
import { ollamaErrors, toOllamaErrorBody } from './ollama-error.ts'

export type OllamaAdminOptions = Readonly<{
  pulls: Pulls
  /** Who asks, for the ledger of what leaves this machine. */
  userOf: (request: FastifyRequest) => string
  /** Removes an installed model by its installed name. */
  remove: (name: string) => Promise<string>
  /** Gives an installed model a second name. */
  copy: (source: string, target: string) => Promise<void>
  /** Whether a name that is none of the hub is that of an installed model. */
  isInstalled: (name: string) => Promise<boolean>
}>

const tags = ['ollama']
const status = Type.String()

const pullBody = Type.Object(
  {
    ...eitherName,
    stream: Type.Optional(Type.Boolean({ default: true })),
    insecure: Type.Optional(Type.Literal(false)),
    username: Type.Optional(Type.Literal('')),
    password: Type.Optional(Type.Literal('')),
  },
  { additionalProperties: false },
)
const progress = Type.Object({
  status,
  digest: Type.Optional(Type.String({ description: 'What is downloaded: the file.' })),
  total: Type.Optional(Type.Integer({ description: 'Bytes.' })),
  completed: Type.Optional(Type.Integer()),
})
type Progress = Static<typeof progress>
type PullRequest = FastifyRequest<{ Body: Static<typeof pullBody> }>

const deleteBody = Type.Object(eitherName, { additionalProperties: false })
const copyBody = Type.Object({ source: modelName, destination: modelName }, { additionalProperties: false })

/** What of Ollama's API changes the installed models, for the admin scope. */
export function ollamaAdminRoutes(options: OllamaAdminOptions): FastifyPluginAsync {
  return async (scope) => {
    await scope.register(
      async (http) => {
        prepareOllamaScope(http)
        servePull(http, options)
        serveChanges(http, options)
        serveRefusals(http)
      },
      { prefix: '/api' },
    )
  }
}

function servePull(http: FastifyInstance, options: OllamaAdminOptions): void {
  const schema = {
    summary: 'Download a model from the hub and install it',
    description:
      'owner/repository, owner/repository:Q4_K_M, or the same after hf.co/. The answer is application/x-ndjson, one status a line, the ' +
      'last one "success"; with stream:false that one alone. A caller who leaves does not end the pull.',
    tags,
    body: pullBody,
    response: { 200: progress, ...ollamaErrors },
  }
  http.post<{ Body: Static<typeof pullBody> }>('/pull', { schema }, async (request, reply) => {
    const gone = clientGone(reply)
    const lines = toProgress(await startPull(options, request, gone))
    if (request.body.stream === false) {
      for await (const _line of lines);
      return success
    }
    await sendEventStream(reply, {
      frames: toLines(lines),
      contentType: ndjson,
      gone,
      toAppError: (error) => toAppError(error, request.log),
      formatFailure: (error) => formatLine(toOllamaErrorBody(error)),
    })
    return reply
  })
}

async function startPull({ pulls, userOf, isInstalled }: OllamaAdminOptions, request: PullRequest, gone: AbortSignal) {
  const name = readEitherName(request.body)
  try {
    return pulls.watch(pulls.start(name, userOf(request)).id, gone)
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'invalid') throw error
    // Clients pull before they ask: for what is here already there is nothing to do.
    if (await isInstalled(name)) return nothing()
    throw new AppError('invalid', `${error.message} Ollama's own library is not reached from here.`, { cause: error })
  }
}

async function* nothing(): AsyncGenerator<PullEvent> {}

const success: Progress = { status: 'success' }
const beginning: Progress = { status: 'pulling manifest' }

/** The first line comes with the first event: a pull that fails at once fails as an ordinary request. */
async function* toProgress(events: AsyncIterable<PullEvent>): AsyncGenerator<Progress> {
  let file = ''
  let isFirst = true
  for await (const event of events) {
    if (isFirst) yield beginning
    isFirst = false
    if (event.type === 'download-start') file = event.file
    const line = toLine(event, file)
    if (line !== undefined) yield line
  }
  if (isFirst) yield beginning
  yield success
}

function toLine(event: PullEvent, file: string): Progress | undefined {
  const download = { status: `pulling ${file}`, digest: file }
  switch (event.type) {
    case 'download-start':
      return { ...download, total: event.totalBytes }
    case 'download-progress':
      return { ...download, total: event.totalBytes, completed: event.receivedBytes }
    case 'download-retry':
      return { status: `trying again: ${event.reason}` }
    case 'download-wait':
      return { status: 'waiting for another download of the same model' }
    case 'file-check':
      return { status: 'verifying sha256 digest' }
    case 'checkpoint-ready':
      return { status: `converting ${event.repository}` }
    case 'convert-progress':
      return { status: 'converting tensors', digest: 'tensors', total: event.total, completed: event.done }
    case 'model-ready':
      return undefined
  }
}

/** Clients give up on connections that are silent for minutes; the check of a large file takes as long. */
const silenceMs = 15_000

/** Lines of JSON know no comments: in silence the last one comes again. */
async function* toLines(lines: AsyncIterable<Progress>): AsyncGenerator<string> {
  let last = formatLine(beginning)
  async function* format(): AsyncGenerator<string> {
    for await (const line of lines) {
      last = formatLine(line)
      yield last
    }
  }
  yield* withHeartbeats(
    format(),
    (signal) => setTimeout(silenceMs, undefined, { signal }),
    () => last,
  )
}

function serveChanges(http: FastifyInstance, { remove, copy }: OllamaAdminOptions): void {
  const response = { 200: Type.Null(), ...ollamaErrors }
  const removal = { summary: 'Remove an installed model; 409 while it is in use', tags, body: deleteBody, response }
  http.delete<{ Body: Static<typeof deleteBody> }>('/delete', { schema: removal }, async (request, reply) => {
    await remove(readEitherName(request.body))
    return reply.send()
  })

  const copying = { summary: 'Give an installed model a second name, on the same bytes', tags, body: copyBody, response }
  http.post<{ Body: Static<typeof copyBody> }>('/copy', { schema: copying }, async (request, reply) => {
    await copy(toModelName(request.body.source), toModelName(request.body.destination))
    return reply.send()
  })
}

/** What Ollama has, and this service does otherwise or not at all: who asks is told, before a body is read. */
function serveRefusals(http: FastifyInstance): void {
  const params = Type.Object({ digest: Type.String({ maxLength: 200 }) })
  const { schema, onRequest } = notOffered('Not offered: models are not made of blobs', noModelfiles)
  const blobs = { schema: { ...schema, params }, onRequest }
  http.post('/create', notOffered('Not offered: models are not made of Modelfiles', noModelfiles), neverReached)
  http.post('/push', notOffered('Not offered: models are not uploaded', noUploads), neverReached)
  http.head('/blobs/:digest', blobs, neverReached)
  http.post('/blobs/:digest', blobs, neverReached)
}

const noModelfiles =
  'Models are not made of Modelfiles here. Pull one with /api/pull, quantize one with POST /models/quantize, or put a GGUF file into ' +
  'the models folder. A system prompt goes with each request.'
const noUploads = 'Models are not uploaded from here: they stay on this machine.'

const neverReached = async () => {}

const notOffered = (summary: string, message: string) => ({
  schema: { summary, tags, response: ollamaErrors },
  onRequest: async () => {
    throw new AppError('not_found', message)
  },
})
