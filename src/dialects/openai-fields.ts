import Type, { type Static } from 'typebox'
import type { SamplingParameters } from '../engine/provider.ts'
import { resolveSampling } from '../engine/sampling.ts'
import type { PredictRequest } from '../predict/predict.ts'
import { predictBounds, predictDefaults } from '../predict/schema.ts'

/** For a field that is accepted with a value that asks for nothing only. */
export const notSupported = Type.Unknown({ description: 'Not supported: only a value that changes nothing is accepted.' })

const changesNothing = (description: string) => Type.Unknown({ description: `${description} It changes no answer.` })

/** What each endpoint that answers takes: who is to answer, and how the next token is chosen. */
export const answerFields = {
  model: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'A name of /v1/models. Left out: the model that is selected.',
    }),
  ),
  provider: Type.Optional(
    Type.String({ minLength: 1, maxLength: 50, description: 'Not in OpenAI. Who answers; "hf" is the model on this machine.' }),
  ),
  temperature: Type.Optional(
    Type.Number({ minimum: 0, maximum: predictBounds.temperature, default: predictDefaults.temperature }),
  ),
  top_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: predictDefaults.topP })),
  top_k: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: predictBounds.topK,
      default: predictDefaults.topK,
      description: 'Not in OpenAI. 0 switches it off.',
    }),
  ),
  min_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: predictDefaults.minP, description: 'Not in OpenAI.' })),
  repeat_penalty: Type.Optional(
    Type.Number({
      minimum: predictBounds.repeatPenaltyMin,
      maximum: predictBounds.repeatPenaltyMax,
      default: predictDefaults.repeatPenalty,
      description: 'Not in OpenAI.',
    }),
  ),
  seed: Type.Optional(Type.Integer({ minimum: -(2 ** 63), maximum: 2 ** 63, description: 'Of 64 bits, as in OpenAI.' })),
  stream: Type.Optional(Type.Boolean({ default: false })),
  // Sent by clients for OpenAI's own bookkeeping.
  user: Type.Optional(Type.String({ maxLength: 500 })),
  safety_identifier: Type.Optional(Type.String({ maxLength: 500 })),
  prompt_cache_key: Type.Optional(Type.String({ maxLength: 500 })),
  prompt_cache_retention: Type.Optional(changesNothing('How long a prompt is remembered.')),
  prompt_cache_options: Type.Optional(changesNothing('How a prompt is remembered.')),
  metadata: Type.Optional(
    Type.Record(Type.String(), Type.String({ maxLength: 512 }), {
      maxProperties: 16,
      description: 'Kept with a stored response.',
    }),
  ),
  service_tier: Type.Optional(notSupported),
}

const stopText = Type.String({ minLength: 1, maxLength: predictBounds.stopCharacters })

/** What chat and completions share besides. */
export const completionFields = {
  n: Type.Optional(Type.Integer({ minimum: 1, maximum: predictBounds.choices, default: predictDefaults.choices })),
  stop: Type.Optional(Type.Union([stopText, Type.Array(stopText, { maxItems: predictBounds.stopTexts })])),
  frequency_penalty: Type.Optional(Type.Number({ minimum: -2, maximum: 2, default: 0 })),
  presence_penalty: Type.Optional(Type.Number({ minimum: -2, maximum: 2, default: 0 })),
  logit_bias: Type.Optional(
    Type.Record(Type.String({ pattern: '^[0-9]{1,10}$' }), Type.Number({ minimum: -100, maximum: 100 }), {
      additionalProperties: false,
      maxProperties: 1024,
      description: 'By the number of a token in the vocabulary of the model that answers.',
    }),
  ),
  stream_options: Type.Optional(
    Type.Object(
      {
        include_usage: Type.Optional(Type.Boolean()),
        include_obfuscation: Type.Optional(Type.Boolean({ description: 'Nothing is ever obfuscated here.' })),
      },
      { additionalProperties: false },
    ),
  ),
}

const fields = Type.Object({ ...answerFields, ...completionFields })
type Fields = Static<typeof fields>

export function toSampling(body: Fields): SamplingParameters {
  const { frequency_penalty: frequencyPenalty = 0, presence_penalty: presencePenalty = 0, logit_bias: logitBias = {} } = body
  return {
    // The same as /predict's where nothing is said: with OpenAI's own (temperature 1, no cut) small models ramble.
    ...resolveSampling(
      { temperature: body.temperature, topP: body.top_p, topK: body.top_k, minP: body.min_p, repeatPenalty: body.repeat_penalty },
      predictDefaults,
    ),
    seed: body.seed === undefined ? undefined : foldSeed(body.seed),
    ...(frequencyPenalty === 0 ? {} : { frequencyPenalty }),
    ...(presencePenalty === 0 ? {} : { presencePenalty }),
    ...(Object.keys(logitBias).length === 0 ? {} : { logitBias }),
  }
}

/** A seed of 64 bits as one of 32; those from 0 to 2^32 − 1 stay what they are. */
function foldSeed(seed: number): number {
  const bits = BigInt.asUintN(64, BigInt(seed))
  return Number(BigInt.asUintN(32, bits ^ (bits >> 32n)))
}

/** What every answer is asked with. */
export function toAnswerRequest(body: Fields): Omit<PredictRequest, 'prompt' | 'maxTokens' | 'format'> {
  const { stop = [] } = body
  return {
    model: body.model,
    provider: body.provider,
    choices: body.n ?? predictDefaults.choices,
    sampling: toSampling(body),
    stop: typeof stop === 'string' ? [stop] : stop,
  }
}

export const tokenLimit = (description: string) => Type.Integer({ minimum: 1, maximum: predictBounds.maxTokens, description })
