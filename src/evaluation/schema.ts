import Type, { type Static, type TSchema } from 'typebox'
import { taggedUnion } from '../http/tagged-union.ts'
import { evaluationReport } from './report-schema.ts'

const strict = { additionalProperties: false } as const
const modelName = { minLength: 1, maxLength: 512 }
const orNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()])
const textOrNull = orNull(Type.String())
const time = Type.String({ format: 'date-time' })

export const evaluationDefaults = { maxRows: 500, maxQuestions: 50, maxTokens: 256, conversations: 20 } as const

/** What is let through where the request says nothing. */
export const thresholdDefaults = {
  held_out_loss_percent: 0,
  forgetting_percent: 3,
  exact_match_points: 0,
  preference_accuracy: 0.5,
  judge_win_rate: null,
} as const

const percent = { minimum: 0, maximum: 1000 }
const share = { minimum: 0, maximum: 1 }

export const thresholds = Type.Object(
  {
    held_out_loss_percent: Type.Optional(
      orNull(Type.Number({ ...percent, description: 'The held-out loss may rise by so many percent. null: not asked for.' })),
    ),
    forgetting_percent: Type.Optional(
      orNull(Type.Number({ ...percent, description: 'So may the loss of the fixed general texts.' })),
    ),
    exact_match_points: Type.Optional(
      orNull(
        Type.Number({
          minimum: 0,
          maximum: 100,
          description: 'The share of exact answers may fall by so many percentage points.',
        }),
      ),
    ),
    preference_accuracy: Type.Optional(
      orNull(Type.Number({ ...share, description: 'Of held-out pairs, at least this share must be decided right.' })),
    ),
    judge_win_rate: Type.Optional(
      orNull(Type.Number({ ...share, description: 'The judge must prefer the candidate at least so often; ties count half.' })),
    ),
  },
  { ...strict, description: 'Whether the candidate passes. Nobody is kept from using one that does not.' },
)
export type Thresholds = Static<typeof thresholds>

const judge = Type.Optional(
  Type.String({
    ...modelName,
    description:
      'A model that compares both answers, blind and in both orders. One of a cloud gets the questions and the answers.',
  }),
)
const maxTokens = Type.Optional(
  Type.Integer({ minimum: 1, maximum: 4096, default: evaluationDefaults.maxTokens, description: 'Of an answer at most.' }),
)

export const gateBody = Type.Object(
  {
    kind: Type.Literal('gate'),
    candidate: Type.Optional(Type.String({ ...modelName, description: 'Else the adapter of the run.' })),
    baseline: Type.Optional(Type.String({ ...modelName, description: 'Else the model in use.' })),
    dataset: Type.Optional(
      Type.String({
        ...modelName,
        description: 'Whose held-out rows: id, NAME (the newest version) or NAME:VERSION. Else that of the run.',
      }),
    ),
    run: Type.Optional(Type.String({ ...modelName, description: 'A completed training run, by id or name.' })),
    judge,
    thresholds: Type.Optional(thresholds),
    max_rows: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 5000,
        default: evaluationDefaults.maxRows,
        description: 'Held-out rows that are scored, from the first on.',
      }),
    ),
    max_questions: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 500,
        default: evaluationDefaults.maxQuestions,
        description: 'Held-out rows whose questions are answered, from the first on.',
      }),
    ),
    max_tokens: maxTokens,
  },
  strict,
)
export type GateBody = Static<typeof gateBody>

export const upgradeBody = Type.Object(
  {
    kind: Type.Literal('upgrade'),
    a: Type.String({ ...modelName, description: 'What is in use.' }),
    b: Type.String({ ...modelName, description: 'What may take its place.' }),
    conversations: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 200,
        default: evaluationDefaults.conversations,
        description: 'How many of your last conversations both answer again.',
      }),
    ),
    judge,
    max_tokens: maxTokens,
  },
  strict,
)
export type UpgradeBody = Static<typeof upgradeBody>

export const evaluationBody = taggedUnion('kind', [gateBody, upgradeBody])
export type EvaluationBody = Static<typeof evaluationBody>

export const evaluationStates = ['queued', 'running', 'completed', 'failed', 'cancelled', 'interrupted'] as const

const listed = {
  id: Type.String(),
  kind: Type.Enum(['gate', 'upgrade']),
  state: Type.Enum([...evaluationStates]),
  baseline: Type.String(),
  candidate: Type.String(),
  dataset_id: textOrNull,
  run_id: textOrNull,
  passed: orNull(
    Type.Boolean({ description: 'The verdict of a gate that is completed; null where nothing held out could tell.' }),
  ),
  progress: orNull(Type.Object({ stage: Type.String(), done: Type.Integer(), total: Type.Integer() })),
  error: orNull(Type.Object({ code: Type.String(), message: Type.String() })),
  created_by: textOrNull,
  created_at: time,
  ended_at: orNull(time),
}
export const listedEvaluation = Type.Object(listed)
export type ListedEvaluation = Static<typeof listedEvaluation>

export const evaluationItem = Type.Object({
  ...listed,
  request: Type.Unsafe<EvaluationBody>({ type: 'object', additionalProperties: true, description: 'As it was sent.' }),
  report: orNull(evaluationReport),
})
export type EvaluationItem = Static<typeof evaluationItem>

export const evaluationPage = Type.Object({ items: Type.Array(listedEvaluation), next_cursor: textOrNull })
export type EvaluationPage = Static<typeof evaluationPage>

export const evaluationsQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(Type.String({ maxLength: 500, description: 'next_cursor of the page before.' })),
    candidate: Type.Optional(Type.String({ ...modelName, description: 'Only of this candidate.' })),
  },
  strict,
)

export const followQuery = Type.Object(
  { stream: Type.Optional(Type.Boolean({ default: false, description: 'true: the progress as server-sent events.' })) },
  strict,
)
