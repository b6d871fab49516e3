import Type, { type Static } from 'typebox'

const strict = { additionalProperties: false } as const
const orNull = <const Schema extends Type.TSchema>(schema: Schema) => Type.Union([schema, Type.Null()])
const numberOrNull = orNull(Type.Number())
const time = Type.String({ format: 'date-time' })

export const historyQuery = Type.Object(
  {
    from: Type.Optional(Type.String({ maxLength: 40, description: 'A day or a time (ISO 8601). Default: an hour before `to`.' })),
    to: Type.Optional(
      Type.String({ maxLength: 40, description: 'A day or a time; what is later than now counts as now. Default: now.' }),
    ),
    points: Type.Optional(
      Type.Integer({ minimum: 2, maximum: 1000, default: 120, description: 'At most so many; each then stands for more time.' }),
    ),
    format: Type.Optional(Type.Enum(['json', 'csv'])),
  },
  strict,
)
export type HistoryQuery = Static<typeof historyQuery>

/** What went on in a stretch of time; `null` where nothing tells. */
export const historyPoint = Type.Object({
  at: Type.String({ format: 'date-time', description: 'The beginning of the stretch.' }),
  seconds: Type.Integer({ description: 'How long it is.' }),
  requests: Type.Integer({ description: 'Without those for the files of pages, /health and /metrics.' }),
  status_2xx: Type.Integer({ description: 'And the others below 400.' }),
  status_4xx: Type.Integer({ description: 'Without those who left.' }),
  status_499: Type.Integer({ description: 'Callers who left.' }),
  status_5xx: Type.Integer(),
  latency_p50_ms: orNull(
    Type.Number({
      description: 'From the arrival of a request to the end of its answer, of those that were answered whole, not as a stream.',
    }),
  ),
  latency_p95_ms: numberOrNull,
  first_token_p50_ms: orNull(
    Type.Number({ description: 'From when a model is asked to its first text, streams and whole answers alike.' }),
  ),
  first_token_p95_ms: numberOrNull,
  answers: Type.Integer({ description: 'That a model has written; without those from the cache.' }),
  failed_answers: Type.Integer({ description: 'Without those whose caller left.' }),
  prompt_tokens: Type.Integer(),
  completion_tokens: Type.Integer(),
  tokens_per_second: orNull(Type.Number({ description: 'Of one answer, on average, while it was written.' })),
  cache_hits: Type.Integer(),
  cache_misses: Type.Integer(),
  active: orNull(Type.Number({ description: 'Answers at once, the most.' })),
  queued: orNull(Type.Number({ description: 'Requests that waited, the most.' })),
  service_bytes: orNull(Type.Number({ description: 'Memory of the service, the most.' })),
  engine_bytes: orNull(Type.Number({ description: 'Memory of the models of this machine, the most.' })),
  feedback_up: Type.Integer(),
  feedback_down: Type.Integer(),
  feedback_text: Type.Integer({ description: 'Without a rating.' }),
})
export type HistoryPoint = Static<typeof historyPoint>

export const historyAnswer = Type.Object({
  from: time,
  to: time,
  step_seconds: Type.Integer(),
  points: Type.Array(historyPoint),
  models: Type.Array(
    Type.Object({
      provider: Type.String(),
      model: Type.String(),
      answers: Type.Integer(),
      completion_tokens: Type.Integer(),
      tokens_per_second: numberOrNull,
    }),
    { description: 'What has answered in that time, most first.' },
  ),
})
export type HistoryAnswer = Static<typeof historyAnswer>

export const auditQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(Type.String({ maxLength: 500, description: 'next_cursor of the page before.' })),
    user: Type.Optional(Type.String({ minLength: 1, maxLength: 500, description: 'A username.' })),
    action: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: 'For example model-select.' })),
    from: Type.Optional(Type.String({ maxLength: 40 })),
    to: Type.Optional(Type.String({ maxLength: 40 })),
    format: Type.Optional(Type.Enum(['json', 'csv'])),
  },
  strict,
)
export type AuditQuery = Static<typeof auditQuery>

/** Something that changed the service, its users or their keys, or tried to. */
export const auditItem = Type.Object({
  id: Type.String(),
  at: Type.String({ format: 'date-time', description: 'When the request came.' }),
  user_id: orNull(Type.String()),
  username: orNull(
    Type.String({ description: 'As it was then; of a login the one that was tried. null: somebody without an account.' }),
  ),
  key_id: orNull(Type.String({ description: 'The API key that it came with.' })),
  address: Type.String({ description: 'Where the request came from.' }),
  action: Type.String({ description: 'For example login, user-add, model-select, training-start.' }),
  target: orNull(Type.String({ description: 'What was meant: the name or id in the address of the request.' })),
  outcome: Type.Enum(['done', 'refused', 'failed'], { description: '`failed` with 499: the caller left before the end.' }),
  status: Type.Integer({ description: 'HTTP status of the answer.' }),
})
export type AuditItem = Static<typeof auditItem>
export const auditPage = Type.Object({ items: Type.Array(auditItem), next_cursor: orNull(Type.String()) })
export type AuditPage = Static<typeof auditPage>

export const logLevels = ['debug', 'info', 'warn', 'error'] as const

export const logsQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 1000, default: 200, description: 'The last so many.' }),
    level: Type.Optional(Type.Enum(logLevels, { description: 'This one and what is worse.' })),
    stream: Type.Optional(Type.Boolean({ description: 'true: text/event-stream; each line as it comes is an event `line`.' })),
  },
  strict,
)
export type LogsQuery = Static<typeof logsQuery>

export const logLine = Type.Object({
  at: time,
  level: Type.Enum(logLevels),
  message: Type.String(),
  /** Whatever else the line holds: request id, route, status, milliseconds. */
  fields: Type.Unsafe<Readonly<Record<string, unknown>>>({ type: 'object', additionalProperties: true }),
})
export type LogLine = Static<typeof logLine>
export const logsAnswer = Type.Object({ lines: Type.Array(logLine) })
export type LogsAnswer = Static<typeof logsAnswer>

/** The service now, for a page that shows it. */
export const overviewAnswer = Type.Object({
  at: time,
  version: Type.String(),
  uptime_seconds: Type.Number(),
  local_only: Type.Boolean(),
  engine: Type.Object({
    state: Type.String(),
    reason: orNull(Type.String()),
    active: Type.Integer(),
    queued: Type.Integer(),
  }),
  memory: Type.Object({
    service_bytes: Type.Integer(),
    engine_bytes: Type.Integer(),
    budget_bytes: Type.Integer({ description: 'What models may take.' }),
    machine_bytes: Type.Integer(),
    machine_free_bytes: Type.Integer(),
  }),
  cache: Type.Object({ entries: Type.Integer(), hits: Type.Integer(), misses: Type.Integer(), evictions: Type.Integer() }),
  counts: Type.Object({
    users: Type.Integer(),
    keys: Type.Integer(),
    conversations: Type.Integer(),
    documents: Type.Integer(),
    predictions: Type.Integer(),
    feedback: Type.Integer(),
  }),
})
export type OverviewAnswer = Static<typeof overviewAnswer>
