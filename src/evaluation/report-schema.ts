import Type, { type Static, type TSchema } from 'typebox'

const orNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()])
const textOrNull = orNull(Type.String())
const numberOrNull = orNull(Type.Number())

const interval = { low: Type.Number(), high: Type.Number() }
const estimate = Type.Object({ value: Type.Number(), ...interval }, { description: 'With its 95 % confidence interval.' })
export type EstimateBody = Static<typeof estimate>

const both = <Schema extends TSchema>(schema: Schema) => Type.Object({ baseline: schema, candidate: schema })

const loss = Type.Object({
  loss: Type.Number({ description: 'Mean negative log-likelihood of a token, in nats.' }),
  perplexity: Type.Number(),
  tokens: Type.Integer(),
})

/** How likely both find the same texts. */
export const likelihoodBody = Type.Object({
  texts: Type.Integer(),
  left_out: Type.Integer({ description: 'Too long for one of the two, or with nothing to score.' }),
  ...both(loss).properties,
  change_percent: Type.Object(estimate.properties, {
    description:
      'Of the loss of all texts together, relative to the baseline; below 0: the candidate finds them likelier. Paired bootstrap.',
  }),
  most_worse: Type.Array(
    Type.Object({ text: Type.String(), ...both(Type.Number({ description: 'Loss of this text, in nats.' })).properties }),
    { description: 'The texts whose loss rose most.' },
  ),
})
export type LikelihoodBody = Static<typeof likelihoodBody>

const accuracy = Type.Object({ pairs: Type.Integer(), right: Type.Number(), accuracy: estimate })

export const preferencesBody = Type.Object({
  pairs: Type.Integer(),
  left_out: Type.Integer(),
  by_reward: Type.Object(accuracy.properties, {
    description:
      "Pairs where the candidate moved towards the chosen answer, as against the baseline (DPO's implicit reward). Ties count half.",
  }),
  by_sum: both(accuracy),
  by_mean: both(accuracy),
})
export type PreferencesBody = Static<typeof preferencesBody>

/** Shares are null where no right answers are known. */
const answered = Type.Object({
  exact_match: orNull(estimate),
  contains: orNull(estimate),
  mean_characters: Type.Number(),
  mean_tokens: Type.Number(),
  tokens_per_second: numberOrNull,
  failed: Type.Integer({ description: 'Questions that it could not answer.' }),
})

export const answersBody = Type.Object({
  questions: Type.Integer(),
  left_out: Type.Integer({ description: 'Held-out rows beyond max_questions, or without a question.' }),
  baseline: answered,
  candidate: answered,
  only_candidate_exact: Type.Integer(),
  only_baseline_exact: Type.Integer(),
  sign_test: Type.Number({ description: 'How likely so great a difference of exact answers is by chance.' }),
  candidate_nearer: Type.Integer(),
  baseline_nearer: Type.Integer(),
})
export type AnswersBody = Static<typeof answersBody>

export const judgeBody = Type.Object({
  model: Type.String(),
  ran_on: Type.Enum(['local', 'cloud']),
  compared: Type.Integer({ description: 'Pairs of answers with a verdict in both orders, identical answers included.' }),
  wins: Type.Integer({ description: 'The candidate was preferred in both orders.' }),
  losses: Type.Integer(),
  ties: Type.Integer(),
  inconsistent: Type.Integer({ description: 'Another verdict in the other order: counts as a tie.' }),
  identical: Type.Integer({ description: 'Both answers were the same: a tie, without asking.' }),
  broken: Type.Integer({ description: 'No verdict could be read, or the judge failed, in one order or both.' }),
  failures: Type.Record(Type.String(), Type.Integer(), { description: 'Error codes of the judge, and how often.' }),
  first_place: Type.Object(
    { verdicts: Type.Integer(), first: Type.Integer() },
    {
      description:
        'Of the verdicts that were no tie, how many preferred the answer that stood first: half of them without position bias.',
    },
  ),
  win_rate: orNull(estimate),
})
export type JudgeBody = Static<typeof judgeBody>

const exampleAnswer = Type.Object({
  text: textOrNull,
  exact: orNull(Type.Boolean()),
  contains: orNull(Type.Boolean()),
  tokens: Type.Integer(),
  tokens_per_second: numberOrNull,
  error: textOrNull,
})
export type ExampleAnswer = Static<typeof exampleAnswer>

export const exampleBody = Type.Object({
  set: Type.Enum(['held-out', 'general', 'conversation']),
  question: Type.String(),
  reference: textOrNull,
  ...both(exampleAnswer).properties,
  nearer: orNull(Type.Enum(['baseline', 'candidate', 'same'])),
  judged: orNull(Type.Enum(['win', 'loss', 'tie', 'inconsistent', 'identical', 'broken'])),
  /** Of conversations. */
  past: orNull(Type.Object({ prediction_id: Type.String(), model: Type.String(), rating: orNull(Type.Enum(['up', 'down'])) })),
})
export type ExampleBody = Static<typeof exampleBody>

export const criterionNames = ['held_out_loss', 'forgetting', 'exact_match', 'preference_accuracy', 'judge_win_rate'] as const
export const criterionBody = Type.Object({
  name: Type.Enum([...criterionNames]),
  passed: orNull(Type.Boolean({ description: 'null: it could not be measured.' })),
  value: numberOrNull,
  low: numberOrNull,
  high: numberOrNull,
  threshold: Type.Number(),
  unit: Type.Enum(['percent', 'points', 'share']),
})
export type CriterionBody = Static<typeof criterionBody>

export const heldOutAmounts = ['no-dataset', 'nothing', 'few', 'enough'] as const

const contestant = Type.Object({ model: Type.String(), provider: Type.String(), ran_on: Type.Enum(['local', 'cloud']) })

export const evaluationReport = Type.Object({
  kind: Type.Enum(['gate', 'upgrade']),
  ...both(contestant).properties,
  dataset: orNull(
    Type.Object({
      id: Type.String(),
      name: Type.String(),
      version: Type.Integer(),
      held_out_rows: Type.Integer(),
      scored_rows: Type.Integer(),
    }),
  ),
  likelihood: Type.Object({
    unavailable: textOrNull,
    held_out: orNull(likelihoodBody),
    preferences: orNull(preferencesBody),
    forgetting: orNull(likelihoodBody),
    rated_up: orNull(likelihoodBody),
  }),
  answers: Type.Object({ held_out: orNull(answersBody), general: orNull(answersBody), conversations: orNull(answersBody) }),
  judge: orNull(judgeBody),
  verdict: orNull(
    Type.Object({
      passed: orNull(
        Type.Boolean({
          description:
            'No criterion that could be measured has failed, and one could be measured. null: so it is, but nothing held out could tell what was learned.',
        }),
      ),
      held_out: Type.Enum([...heldOutAmounts], {
        description: 'How much of the dataset tells what was learned; few: less than ten examples, whose numbers say little.',
      }),
      criteria: Type.Array(criterionBody),
    }),
  ),
  examples: Type.Array(exampleBody),
})
export type EvaluationReport = Static<typeof evaluationReport>
