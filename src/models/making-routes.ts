import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { AppError } from '../errors.ts'
import { errorBody, toAppError, toErrorBody } from '../http/error-reply.ts'
import { clientGone, formatEvent, sendEventStream, withHeartbeats } from '../http/event-stream.ts'
import type { JobRow } from './job-rows.ts'
import { type MakingProgress, makingStages } from './making-jobs.ts'
import type { SharedJobs } from './shared-jobs.ts'

export type MakingRoutesOptions = Readonly<{ shared: Pick<SharedJobs, 'list' | 'find' | 'watch' | 'stop'> }>

const textOrNull = Type.Union([Type.String(), Type.Null()])
const time = Type.String({ format: 'date-time' })
const progress = Type.Object({ stage: Type.Enum([...makingStages]), done: Type.Integer(), total: Type.Integer() })
const item = Type.Object({
  id: Type.String(),
  kind: Type.Enum(['quantization', 'merge']),
  model: Type.String({ description: 'What it is made of: an installed model, or BASE+ADAPTER.' }),
  quantization: textOrNull,
  state: Type.Enum(['running', 'completed', 'failed', 'cancelled', 'interrupted'], {
    description: '`interrupted`: the service ended, or died, while it ran.',
  }),
  progress: Type.Union([progress, Type.Null()]),
  made: Type.Union([Type.String(), Type.Null()], { description: 'The name of the new model.' }),
  error: Type.Union([Type.Object({ code: Type.String(), message: Type.String() }), Type.Null()]),
  created_at: time,
  ended_at: Type.Union([time, Type.Null()]),
})
const params = Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) })
const followQuery = Type.Object(
  { stream: Type.Optional(Type.Boolean({ default: false, description: 'true: the progress as server-sent events.' })) },
  { additionalProperties: false },
)
type ById = { Params: Static<typeof params>; Querystring: Static<typeof followQuery> }

const silenceMs = 15_000
const tags = ['models']
const failures = { '4xx': errorBody, '5xx': errorBody }

/** GET /models/jobs, and GET and DELETE /models/jobs/{id}, for the admin scope: quantizations and merges of all processes. */
export function makingRoutes({ shared }: MakingRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    http.get('/models/jobs', { schema: listSchema }, async () => ({
      items: (await shared.list(['quantization', 'merge'])).map(toItem),
    }))
    http.get<ById>('/models/jobs/:id', { schema: getSchema }, async (request, reply) => {
      const row = await getMaking(shared, request.params.id)
      return request.query.stream === true ? follow(shared, request, reply) : toItem(row)
    })
    http.delete<ById>('/models/jobs/:id', { schema: stopSchema }, async ({ params: { id } }, reply) => {
      await getMaking(shared, id)
      if (!(await shared.stop(id))) throw new AppError('conflict', 'This work has ended already.')
      return reply.code(204).send(null)
    })
  }
}

const listSchema = {
  summary: 'Quantizations and merges that run, and how the last ones ended',
  description: 'The latest first; those that ended within a day. Of all processes of the service.',
  tags,
  response: { 200: Type.Object({ items: Type.Array(item) }), ...failures },
}
const getSchema = {
  summary: 'How far a quantization or merge is, or how it ended',
  description:
    'With stream=true: `event: progress` {stage,done,total} until it has ended, then `event: done` with what is answered otherwise.',
  tags,
  params,
  querystring: followQuery,
  response: { 200: item, ...failures },
}
const stopSchema = {
  summary: 'Stop a quantization or merge, whoever asked for it',
  description: 'Nothing of it stays, but of a quantization the model where it is only being measured.',
  tags,
  params,
  response: { 204: Type.Null(), ...failures },
}

async function getMaking({ find }: MakingRoutesOptions['shared'], id: string): Promise<JobRow> {
  const row = await find(id)
  if (row === undefined || row.kind === 'pull')
    throw new AppError('not_found', `No quantization or merge has the id ${JSON.stringify(id)}.`)
  return row
}

async function follow(shared: MakingRoutesOptions['shared'], request: FastifyRequest<ById>, reply: FastifyReply) {
  const gone = clientGone(reply)
  await sendEventStream(reply, {
    frames: withHeartbeats(toFrames(shared.watch(request.params.id, gone)), (signal) => wait(silenceMs, undefined, { signal })),
    gone,
    toAppError: (error) => toAppError(error, request.log),
    formatFailure: (error) => formatEvent(JSON.stringify(toErrorBody(error)), 'error'),
  })
  return reply
}

async function* toFrames(rows: AsyncIterable<JobRow>): AsyncGenerator<string> {
  // So that the stream is open before anything is done.
  yield ': following\n\n'
  for await (const row of rows) {
    if (row.state !== 'running') yield formatEvent(JSON.stringify(toItem(row)), 'done')
    else if (row.progress !== null) yield formatEvent(row.progress, 'progress')
  }
}

function toItem(row: JobRow): Static<typeof item> {
  const done: MakingProgress | null = row.progress === null ? null : JSON.parse(row.progress)
  return {
    id: row.id,
    kind: row.kind === 'merge' ? 'merge' : 'quantization',
    model: row.name,
    quantization: row.quantization,
    state: row.state,
    progress: done,
    made: row.model,
    error: row.errorCode === null ? null : { code: row.errorCode, message: row.errorMessage ?? '' },
    created_at: row.createdAt,
    ended_at: row.endedAt,
  }
}
