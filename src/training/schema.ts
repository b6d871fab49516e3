import Type, { type Static } from 'typebox'
import { learningRateSchedules, trainingMethods } from '../engine/train/protocol.ts'
import { adaptableModules } from '../engine/train/trainable.ts'
import { runStates } from './run-states.ts'

const strict = { additionalProperties: false } as const
const oneOf = <const T extends string>(choices: readonly T[], description?: string) =>
  Type.Unsafe<T>({ type: 'string', enum: [...choices], ...(description === undefined ? {} : { description }) })
const orNull = <const T extends Parameters<typeof Type.Union>[0][number]>(type: T) => Type.Union([type, Type.Null()])
const number = (minimum: number, maximum: number, description?: string) =>
  Type.Number({ minimum, maximum, ...(description === undefined ? {} : { description }) })
const integer = (minimum: number, maximum: number, description?: string) =>
  Type.Integer({ minimum, maximum, ...(description === undefined ? {} : { description }) })

/** How a run learns, by the names on the wire. */
const parameterFields = {
  epochs: integer(
    1,
    1000,
    'Passes over the examples. Default: NUM_TRAIN_EPOCHS, else as many as make about 60 steps, from 3 to 20.',
  ),
  batch_size: integer(1, 4096, 'Examples (or pairs) that are evaluated at once. Default: TRAIN_BATCH_SIZE.'),
  accumulation: integer(1, 4096, 'Evaluations before each update.'),
  learning_rate: Type.Number({ exclusiveMinimum: 0, maximum: 1, description: 'Default: LEARNING_RATE.' }),
  schedule: oneOf(learningRateSchedules, 'How the learning rate falls after the warm-up.'),
  warmup: number(0, 1, 'The share of all updates in which the learning rate rises from 0.'),
  rank: integer(1, 512, 'Of the adapter.'),
  alpha: Type.Number({ exclusiveMinimum: 0, maximum: 10_000, description: "The adapter's output is scaled by alpha / rank." }),
  modules: Type.Array(oneOf(adaptableModules), { minItems: 1, uniqueItems: true, description: 'The layers that are adapted.' }),
  dropout: Type.Number({ minimum: 0, exclusiveMaximum: 1 }),
  max_length: integer(16, 131_072, 'In tokens; longer examples are left out, and counted.'),
  packs: Type.Boolean({ description: 'Whether short examples share a row.' }),
  max_gradient_norm: number(0, 1e6, 'Gradients of a greater norm are scaled down to it; 0: never.'),
  weight_decay: number(0, 1),
  seed: integer(0, 2 ** 32 - 1),
  patience: integer(0, 1000, 'Ends after so many epochs in a row without a lower held-out loss; 0: never.'),
  beta: Type.Number({
    exclusiveMinimum: 0,
    maximum: 100,
    description: 'Only for dpo: how near the model is kept to what it was.',
  }),
  replay: number(0, 10, 'Tokens of general text for each token of the examples, so that nothing is forgotten; 0: none.'),
} as const

/** What a run's adapter may be called: a file of the models folder, and the end of BASE+NAME. */
const namePattern = '^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$'

export const newRunBody = Type.Object(
  {
    name: Type.Optional(
      Type.String({ pattern: namePattern, description: 'What its adapter will be called. Default: made of the dataset.' }),
    ),
    model: Type.Optional(
      Type.String({ minLength: 1, maxLength: 500, description: 'The installed model that learns. Default: the selected one.' }),
    ),
    dataset: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'An id, `name` or `name:version`. Default: the newest one.' }),
    ),
    replay_dataset: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 200,
        description: 'General text to replay. Default: the one that comes with the program.',
      }),
    ),
    method: Type.Optional(oneOf(trainingMethods, 'sft: answers are learned (default); dpo: one answer is preferred to another.')),
    ...Type.Partial(Type.Object(parameterFields)).properties,
    plan_only: Type.Optional(Type.Boolean({ description: 'Only checks the run, and answers 200 with what it would be.' })),
  },
  strict,
)
export type NewRunBody = Static<typeof newRunBody>

const time = Type.String({ format: 'date-time' })
const textOrNull = orNull(Type.String())
const numberOrNull = orNull(Type.Number())
const parameters = Type.Object({ method: oneOf(trainingMethods), ...parameterFields })

const plan = Type.Object({
  examples: Type.Integer({ description: 'Learned from.' }),
  too_long: Type.Integer({ description: 'Left out: they have more than max_length tokens.' }),
  empty: Type.Integer({ description: 'Left out: there is nothing to learn in them.' }),
  held_out: Type.Integer(),
  tokens: Type.Integer({ description: 'Of one epoch, replay included.' }),
  targets: Type.Integer({ description: 'Those of them that are predicted.' }),
  steps: Type.Integer(),
  trainable_parameters: Type.Integer(),
  memory_bytes: Type.Integer({ description: 'What the process is expected to take at most.' }),
  seconds: Type.Number({ description: 'About how long it takes where nothing else runs.' }),
  parity: Type.Object(
    { ours: Type.Number(), reference: Type.Number(), tolerance: Type.Number() },
    { description: 'Mean negative log-likelihood of a row, here and by llama.cpp.' },
  ),
})

export const runAnswer = Type.Object({
  id: Type.String(),
  name: Type.String(),
  state: oneOf(runStates),
  stopping: Type.Boolean({ description: 'It will end after the step under way.' }),
  yielding: Type.Boolean({ description: 'It stands still while models answer.' }),
  queue_position: orNull(Type.Integer({ description: 'How many runs come before it.' })),
  model: Type.String({ description: 'What is trained.' }),
  dataset: Type.Object({ id: Type.String(), name: Type.String(), version: Type.Integer() }),
  replay_dataset_id: textOrNull,
  parameters,
  plan: orNull(plan),
  step: Type.Integer({ description: 'Steps that are done.' }),
  epoch: orNull(Type.Integer()),
  loss: orNull(Type.Number({ description: 'Of the last step.' })),
  checkpoint_step: orNull(Type.Integer({ description: 'Where it would go on.' })),
  best_step: orNull(Type.Integer()),
  held_out_loss: orNull(Type.Number({ description: 'Of the best epoch.' })),
  tokens_per_second: orNull(Type.Number({ description: 'Over the last steps.' })),
  trained_seconds: Type.Number({ description: 'Without the time in which it stood still for others.' }),
  yielded_seconds: Type.Number(),
  seconds_left: orNull(Type.Number({ description: 'As far as the last steps tell, while it runs.' })),
  resident_bytes: orNull(Type.Integer({ description: 'What its process took at most.' })),
  adapter: textOrNull,
  served_as: orNull(Type.String({ description: 'The model that answers with what was learned.' })),
  error: orNull(Type.Object({ code: Type.String(), message: Type.String() })),
  created_by: textOrNull,
  created_at: time,
  started_at: orNull(time),
  ended_at: orNull(time),
  updated_at: time,
})
export type RunAnswer = Static<typeof runAnswer>

export const plannedAnswer = Type.Object(
  {
    name: Type.String(),
    model: Type.String(),
    dataset: runAnswer.properties.dataset,
    replay_dataset_id: textOrNull,
    parameters,
    trainable_parameters: Type.Integer(),
    most_steps: Type.Integer({ description: 'Fewer where examples are left out or share rows.' }),
    disk_bytes: Type.Integer({ description: 'What it needs on the disk while it runs.' }),
    tokens: orNull(Type.Integer({ description: 'Of one epoch, replay included, as far as some examples tell.' })),
    memory_bytes: orNull(Type.Integer({ description: 'What its process is expected to take at most.' })),
    memory_allowed_bytes: Type.Integer({
      description: 'What a run may take now. One that needs more is refused when it begins.',
    }),
    seconds: orNull(Type.Number({ description: 'About how long it takes where nothing else runs.' })),
    seconds_by: orNull(
      oneOf(['earlier-runs', 'parameters'], 'By the speed of earlier runs of the model, or by the number of its parameters.'),
    ),
    not_estimated: orNull(Type.String({ description: 'Why tokens, memory or time are null.' })),
  },
  { description: 'What a run would be; nothing was begun.' },
)
export type PlannedAnswer = Static<typeof plannedAnswer>

export const runsQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(Type.String({ maxLength: 500, description: 'next_cursor of the page before.' })),
    state: Type.Optional(oneOf(runStates)),
  },
  strict,
)

export const runsPage = Type.Object({ items: Type.Array(runAnswer), next_cursor: textOrNull })
export type RunsPage = Static<typeof runsPage>

export const latestAnswer = Type.Object(
  { run: orNull(runAnswer), completed: orNull(runAnswer) },
  { description: 'The newest run, and the one that was completed last.' },
)
export type LatestAnswer = Static<typeof latestAnswer>

export const resumeQuery = Type.Object(
  {
    from_start: Type.Optional(
      Type.Boolean({ default: false, description: 'true: without its checkpoint, which may be on a disk that is not here.' }),
    ),
  },
  strict,
)

export const metricsQuery = Type.Object(
  {
    every: Type.Optional(Type.Integer({ minimum: 1, maximum: 1e9, description: 'Of the steps every so-manieth, and the last.' })),
    max_points: Type.Optional(
      Type.Integer({ minimum: 2, maximum: 10_000, description: 'At most so many steps. Default: 1000.' }),
    ),
    stream: Type.Optional(Type.Boolean({ description: 'Past and future steps as text/event-stream.' })),
  },
  strict,
)

export const stepAnswer = Type.Object({
  step: Type.Integer(),
  epoch: Type.Integer(),
  loss: Type.Number(),
  learning_rate: Type.Number(),
  gradient_norm: Type.Number(),
  tokens: Type.Integer(),
  ms: Type.Number(),
})
export type StepAnswer = Static<typeof stepAnswer>

export const epochAnswer = Type.Object({
  epoch: Type.Integer(),
  step: Type.Integer(),
  train_loss: Type.Number(),
  held_out_loss: numberOrNull,
  preference_accuracy: numberOrNull,
})
export type EpochAnswer = Static<typeof epochAnswer>

export const metricsAnswer = Type.Object({
  run_id: Type.String(),
  every: Type.Integer({ description: 'The steps here are every so-manieth, and the last.' }),
  steps: Type.Array(stepAnswer),
  epochs: Type.Array(epochAnswer),
})
export type MetricsAnswer = Static<typeof metricsAnswer>
