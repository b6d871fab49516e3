import { setTimeout } from 'node:timers/promises'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { AppError } from '../errors.ts'
import { errorBody, toAppError, toErrorBody } from '../http/error-reply.ts'
import { clientGone, formatEvent, sendEventStream, withHeartbeats } from '../http/event-stream.ts'
import type { PullEvent } from './download-events.ts'
import { type EndedPull, isEnded, type RunningPull } from './pull-rows.ts'
import type { Pulls } from './pulls.ts'

export type PullRoutesOptions = Readonly<{
  pulls: Pulls
  /** Removes an installed model; gives its name. */
  remove: (name: string) => Promise<string>
  /** What the ledger of what leaves this machine calls who asks. */
  userOf: (request: FastifyRequest) => string
}>

const pullBody = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      maxLength: 500,
      description: 'owner/repository, owner/repository:Q4_K_M, or hf:owner/repository/file.gguf',
    }),
    stream: Type.Optional(Type.Boolean({ description: 'false: one JSON answer at the end. Default: true.' })),
  },
  { additionalProperties: false },
)
type PullBody = Static<typeof pullBody>

const pulledAnswer = Type.Object({ name: Type.String({ description: 'What the model is called from now on.' }) })
const progressFields = {
  received_bytes: Type.Integer(),
  total_bytes: Type.Integer(),
  bytes_per_second: Type.Integer(),
  seconds_left: Type.Union([Type.Integer(), Type.Null()]),
}
const runningPull = Type.Object({
  id: Type.String(),
  name: Type.String(),
  progress: Type.Union([Type.Object(progressFields), Type.Null()], { description: 'null: it has not begun yet.' }),
  stage: Type.Union([Type.Object({ type: Type.String() }, { additionalProperties: true }), Type.Null()], {
    description: 'The last event that was no download-progress, as POST /models/pull tells it.',
  }),
})
const endedPull = Type.Object({
  id: Type.String(),
  name: Type.String(),
  outcome: Type.Enum(['completed', 'failed', 'cancelled', 'interrupted'], {
    description: '`cancelled`: somebody stopped it; `interrupted`: the service ended, or died, while it ran.',
  }),
  ended_at: Type.String({ format: 'date-time' }),
  model: Type.Union([Type.String(), Type.Null()], { description: 'What was installed.' }),
  error: Type.Union([Type.Object({ code: Type.String(), message: Type.String() }), Type.Null()], {
    description: 'Why nothing was; `aborted`: it was stopped.',
  }),
})
const pullsAnswer = Type.Object({
  pulls: Type.Array(runningPull),
  ended: Type.Array(endedPull, { description: 'The last ones that ended within a day, latest first.' }),
})
const idParams = Type.Object({ id: Type.String({ maxLength: 100 }) })
const followQuery = Type.Object(
  { stream: Type.Optional(Type.Boolean({ default: false, description: 'true: what POST /models/pull streams, from now on.' })) },
  { additionalProperties: false },
)
type ById = { Params: Static<typeof idParams>; Querystring: Static<typeof followQuery> }
const nameParams = Type.Object({ '*': Type.String({ minLength: 1, maxLength: 500 }) })

/** Clients give up on connections that are silent for minutes; the check of a large file takes as long. */
const silenceMs = 15_000

const tags = ['models']
const failures = { '4xx': errorBody, '5xx': errorBody }

/** POST /models/pull, GET /models/pulls, GET and DELETE /models/pulls/{id}, and DELETE /models/{name}, for the admin scope. */
export function pullRoutes({ pulls, remove, userOf }: PullRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    // Before the server waits for its last answers: those to the watchers of a pull end with it.
    http.addHook('preClose', pulls.close)

    const pull = {
      summary: 'Download a model from the hub and install it',
      description:
        'The answer is text/event-stream: `event: progress` with {id,type,…} as long as it takes, then `event: done` with {name}, ' +
        'or `event: error` with the error body. A second request for the same model joins the first. A caller who leaves does not end ' +
        'the pull: DELETE /models/pulls/{id} does, and what has arrived is kept for the next one.',
      tags,
      body: pullBody,
      response: { 200: pulledAnswer, ...failures },
    }
    http.post<{ Body: PullBody }>('/models/pull', { schema: pull }, async (request, reply) => {
      const { name, stream = true } = request.body
      const running = pulls.start(name, userOf(request))
      const gone = clientGone(reply)
      const events = pulls.watch(running.id, gone)
      return stream ? streamEvents(running.id, events, { request, reply, gone }) : { name: await readName(events) }
    })

    const list = { summary: 'Pulls that run now, and how the last ones ended', tags, response: { 200: pullsAnswer, ...failures } }
    http.get('/models/pulls', { schema: list }, async () => {
      const { running, ended } = await pulls.list()
      return { pulls: running.map(toPullBody), ended: ended.map(toEndedBody) }
    })

    const get = {
      summary: 'How far a pull is, or how it ended',
      description: 'With stream=true it is followed. Through any process of the service, whichever of them pulls.',
      tags,
      params: idParams,
      querystring: followQuery,
      response: { 200: Type.Union([runningPull, endedPull]), ...failures },
    }
    http.get<ById>('/models/pulls/:id', { schema: get }, async (request, reply) => {
      const { id } = request.params
      const pull = await pulls.get(id)
      if (request.query.stream !== true) return isEnded(pull) ? toEndedBody(pull) : toPullBody(pull)
      const gone = clientGone(reply)
      return streamEvents(id, pulls.watch(id, gone), { request, reply, gone, opening: ': following\n\n' })
    })

    const cancel = {
      summary: 'Stop a pull; what has arrived is kept',
      tags,
      params: idParams,
      response: { 204: Type.Null(), ...failures },
    }
    http.delete<{ Params: Static<typeof idParams> }>('/models/pulls/:id', { schema: cancel }, async (request, reply) => {
      await pulls.cancel(request.params.id)
      return reply.code(204).send(null)
    })

    const removal = {
      summary: 'Remove an installed model with all of its files; 409 while it is in use',
      description: 'The name may hold slashes, as they are or as %2F.',
      tags,
      params: nameParams,
      response: { 200: pulledAnswer, ...failures },
    }
    http.delete<{ Params: Static<typeof nameParams> }>('/models/*', { schema: removal }, async (request) => ({
      name: await remove(request.params['*']),
    }))
  }
}

type StreamParts = Readonly<{
  request: FastifyRequest
  reply: FastifyReply
  gone: AbortSignal
  /** Sent at once; without it a pull that fails at once is answered by an ordinary error. */
  opening?: string
}>

async function streamEvents(id: string, events: AsyncIterable<PullEvent>, { request, reply, gone, opening }: StreamParts) {
  await sendEventStream(reply, {
    frames: withHeartbeats(toFrames(id, events, opening), (signal) => setTimeout(silenceMs, undefined, { signal })),
    gone,
    toAppError: (error) => toAppError(error, request.log),
    formatFailure: (error) => formatEvent(JSON.stringify(toErrorBody(error)), 'error'),
  })
  return reply
}

async function* toFrames(id: string, events: AsyncIterable<PullEvent>, opening = ''): AsyncGenerator<string> {
  if (opening !== '') yield opening
  for await (const event of events) {
    if (event.type === 'model-ready') yield formatEvent(JSON.stringify({ name: event.name }), 'done')
    else yield formatEvent(JSON.stringify({ id, ...toEventBody(event) }), 'progress')
  }
}

async function readName(events: AsyncIterable<PullEvent>): Promise<string> {
  for await (const event of events) if (event.type === 'model-ready') return event.name
  throw new AppError('internal', 'The pull ended without a model.')
}

/** Paths of this machine stay here: files are told relative to the models folder. */
function toEventBody(event: Exclude<PullEvent, { type: 'model-ready' }>) {
  switch (event.type) {
    case 'download-start':
      return { type: event.type, file: event.file, total_bytes: event.totalBytes }
    case 'download-progress':
      return { type: event.type, ...toProgressBody(event) }
    case 'download-retry':
      return { type: event.type, reason: event.reason }
    case 'file-check':
      return { type: event.type, file: event.file }
    case 'convert-progress':
      return { type: event.type, done: event.done, total: event.total }
    case 'checkpoint-ready':
      return { type: event.type, repository: event.repository }
    case 'download-wait':
      return { type: event.type }
  }
}

function toProgressBody(progress: Extract<PullEvent, { type: 'download-progress' }>) {
  const { receivedBytes, totalBytes, bytesPerSecond, secondsLeft } = progress
  return {
    received_bytes: receivedBytes,
    total_bytes: totalBytes,
    bytes_per_second: Math.round(bytesPerSecond),
    seconds_left: Number.isFinite(secondsLeft) ? Math.ceil(secondsLeft) : null,
  }
}

function toPullBody({ id, name, progress, state }: RunningPull) {
  const stage = state === undefined || state.type === 'model-ready' ? null : toEventBody(state)
  return { id, name, progress: progress === undefined ? null : toProgressBody(progress), stage }
}

function toEndedBody({ id, name, outcome, endedAt, model, error }: EndedPull) {
  return {
    id,
    name,
    outcome,
    ended_at: endedAt,
    model: model ?? null,
    error: error === undefined ? null : { code: error.code, message: error.message },
  }
}
