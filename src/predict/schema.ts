import Type, { type Static } from 'typebox'
import type { Timings, Usage } from '../engine/provider.ts'
import { predictBounds, predictDefaults } from './bounds.ts'
import type { Target } from './predict.ts'

export { predictBounds, predictDefaults }

const stopText = Type.String({ minLength: 1, maxLength: predictBounds.stopCharacters })

/** The same for /predict and questions to documents. */
export const storeField = Type.Optional(
  Type.Boolean({ default: true, description: 'false: the answer is not remembered, so that feedback on it teaches nothing.' }),
)

const predictFields = {
  prompt: Type.String({
    minLength: 1,
    maxLength: predictBounds.promptCharacters,
    description: 'The text to continue. Special tokens of the model typed here stay ordinary text.',
  }),
  max_length: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: predictBounds.maxTokens,
      default: predictDefaults.maxTokens,
      description:
        'At most this many NEW tokens for each answer; the prompt does not count. The end of the context window ends it too.',
    }),
  ),
  num_return_sequences: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: predictBounds.choices,
      default: predictDefaults.choices,
      description: 'How many answers to the same prompt. More than one cannot be streamed.',
    }),
  ),
  temperature: Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: predictBounds.temperature,
      default: predictDefaults.temperature,
      description: '0 takes the likeliest token each time, so that the same question gives the same answer.',
    }),
  ),
  top_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: predictDefaults.topP })),
  top_k: Type.Optional(
    Type.Integer({ minimum: 0, maximum: predictBounds.topK, default: predictDefaults.topK, description: '0 switches it off.' }),
  ),
  min_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: predictDefaults.minP })),
  repeat_penalty: Type.Optional(
    Type.Number({
      minimum: predictBounds.repeatPenaltyMin,
      maximum: predictBounds.repeatPenaltyMax,
      default: predictDefaults.repeatPenalty,
      description: 'Above 1, tokens among the last 64 become less likely.',
    }),
  ),
  seed: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: predictBounds.seed,
      description: 'The same seed, prompt and parameters give the same text.',
    }),
  ),
  stop: Type.Optional(
    Type.Union([stopText, Type.Array(stopText, { maxItems: predictBounds.stopTexts })], {
      description: 'Texts that end the answer; they are not part of it.',
    }),
  ),
  model: Type.Optional(
    Type.String({ minLength: 1, maxLength: 200, description: 'The name or alias of a model. Left out: the selected one.' }),
  ),
  provider: Type.Optional(Type.String({ minLength: 1, maxLength: 50, description: '"hf" is the model on this machine.' })),
  json_schema: Type.Optional(
    Type.Unsafe<Readonly<Record<string, unknown>>>({
      type: 'object',
      description: 'The answer is JSON that this JSON schema allows (unless max_length cuts it).',
    }),
  ),
  store: storeField,
}

export const predictBody = Type.Object(
  {
    ...predictFields,
    stream: Type.Optional(Type.Boolean({ default: false, description: 'true: the answer comes as server-sent events.' })),
  },
  { additionalProperties: false },
)
export type PredictBody = Static<typeof predictBody>

/** A name that a client gives to one of several requests on a socket. */
const requestId = Type.Optional(Type.String({ minLength: 1, maxLength: 64 }))

export const socketRequest = Type.Object(
  {
    type: Type.Optional(Type.Literal('predict')),
    request_id: requestId,
    ...predictFields,
    stream: Type.Optional(Type.Boolean({ description: 'A socket always streams; accepted so that the same JSON serves both.' })),
  },
  { additionalProperties: false },
)
export type SocketRequest = Static<typeof socketRequest>

export const socketStop = Type.Object({ type: Type.Literal('stop'), request_id: requestId }, { additionalProperties: false })
export type SocketStop = Static<typeof socketStop>

const finishReason = Type.Enum(['stop', 'length', 'tool-calls', 'content-filter'])

const usageBody = Type.Object({
  prompt_tokens: Type.Integer(),
  completion_tokens: Type.Integer(),
  total_tokens: Type.Integer(),
  cached_prompt_tokens: Type.Integer({ description: 'Prompt tokens that did not have to be computed again.' }),
})

const timingsBody = Type.Object({
  queue_ms: Type.Number(),
  prompt_ms: Type.Number(),
  first_token_ms: Type.Number(),
  generation_ms: Type.Number(),
  tokens_per_second: Type.Number(),
})

export const predictAnswer = Type.Object({
  id: Type.String(),
  model: Type.String(),
  provider: Type.String(),
  choices: Type.Array(Type.Object({ index: Type.Integer(), text: Type.String(), finish_reason: finishReason })),
  usage: usageBody,
  timings: timingsBody,
  cached: Type.Boolean(),
  ran_on: Type.Union([Type.Literal('local'), Type.Literal('cloud')]),
  why: Type.Enum(['requested', 'default', 'fallback'], { description: 'Why this one has answered.' }),
  passed_by: Type.Optional(
    Type.Array(Type.Object({ provider: Type.String(), model: Type.Union([Type.String(), Type.Null()]), code: Type.String() }), {
      description: 'After a fallback: who was asked before and could not.',
    }),
  ),
})
export type PredictAnswer = Static<typeof predictAnswer>

/** Where an answer comes from, and why. */
export function toOrigin({ ranOn, why, passedBy }: Target) {
  const before = passedBy.map(({ provider, model, code }) => ({ provider, model: model ?? null, code }))
  return { ran_on: ranOn, why, ...(before.length === 0 ? {} : { passed_by: before }) }
}

export function toUsageBody(usage: Usage): Static<typeof usageBody> {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    cached_prompt_tokens: usage.cachedPromptTokens,
  }
}

export function toTimingsBody(timings: Timings): Static<typeof timingsBody> {
  return {
    queue_ms: toTenths(timings.queueMs),
    prompt_ms: toTenths(timings.promptMs),
    first_token_ms: toTenths(timings.firstTokenMs),
    generation_ms: toTenths(timings.generationMs),
    tokens_per_second: toTenths(timings.tokensPerSecond),
  }
}

const toTenths = (value: number) => Math.round(value * 10) / 10
