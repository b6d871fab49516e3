import Type, { type Static } from 'typebox'
import type { SamplingParameters } from '../engine/provider.ts'
import { resolveSampling } from '../engine/sampling.ts'
import { predictBounds, predictDefaults } from '../predict/schema.ts'
import { wrongField } from './refuse-fields.ts'

const ofTheServer = Type.Union([Type.Number(), Type.Boolean()], {
  description: 'A setting of the service here: accepted, without effect.',
})
const penalty = Type.Number({ minimum: -2, maximum: 2, default: 0 })
/** Tokens among which repetitions are looked for. */
const usualWindow = 64

export const optionsBody = Type.Object(
  {
    temperature: Type.Optional(
      Type.Number({ minimum: 0, maximum: predictBounds.temperature, default: predictDefaults.temperature }),
    ),
    top_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: predictDefaults.topP })),
    top_k: Type.Optional(Type.Integer({ minimum: 0, maximum: predictBounds.topK, default: predictDefaults.topK })),
    min_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: predictDefaults.minP })),
    seed: Type.Optional(Type.Integer({ minimum: -1, maximum: predictBounds.seed, description: '-1: another one each time.' })),
    num_predict: Type.Optional(
      Type.Integer({
        minimum: -2,
        maximum: predictBounds.maxTokens,
        description: 'At most this many new tokens. -1 (the default) and -2: up to the end of the context window.',
      }),
    ),
    stop: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: predictBounds.stopCharacters }), { maxItems: predictBounds.stopTexts }),
    ),
    repeat_penalty: Type.Optional(
      Type.Number({
        minimum: predictBounds.repeatPenaltyMin,
        maximum: predictBounds.repeatPenaltyMax,
        default: predictDefaults.repeatPenalty,
      }),
    ),
    repeat_last_n: Type.Optional(
      Type.Integer({ minimum: -1, description: `${usualWindow}, or 0, which switches all penalties off.` }),
    ),
    presence_penalty: Type.Optional(penalty),
    frequency_penalty: Type.Optional(penalty),
    num_ctx: Type.Optional(
      Type.Integer({
        minimum: 1,
        description:
          'Without effect: the context window is a setting of the service (CONTEXT_SIZE). A prompt that does not fit is refused with ' +
          'both numbers, never cut.',
      }),
    ),
    num_keep: Type.Optional(ofTheServer),
    num_batch: Type.Optional(ofTheServer),
    num_gpu: Type.Optional(ofTheServer),
    main_gpu: Type.Optional(ofTheServer),
    num_thread: Type.Optional(ofTheServer),
    draft_num_predict: Type.Optional(ofTheServer),
    use_mmap: Type.Optional(ofTheServer),
    use_mlock: Type.Optional(ofTheServer),
    low_vram: Type.Optional(ofTheServer),
    f16_kv: Type.Optional(ofTheServer),
    numa: Type.Optional(ofTheServer),
    // Of samplers that there are not: only what changes nothing.
    mirostat: Type.Optional(Type.Number({ description: 'Only 0.' })),
    mirostat_tau: Type.Optional(Type.Number({ description: 'Without mirostat it changes nothing.' })),
    mirostat_eta: Type.Optional(Type.Number({ description: 'Without mirostat it changes nothing.' })),
    tfs_z: Type.Optional(Type.Number({ description: 'Only 1.' })),
    typical_p: Type.Optional(Type.Number({ description: 'Only 1.' })),
    penalize_newline: Type.Optional(Type.Boolean({ description: 'Only true, unless there is no penalty.' })),
    logits_all: Type.Optional(Type.Boolean({ description: 'Only false.' })),
    vocab_only: Type.Optional(Type.Boolean({ description: 'Only false.' })),
    embedding_only: Type.Optional(Type.Boolean({ description: 'Only false.' })),
  },
  { additionalProperties: false },
)
export type OptionsBody = Static<typeof optionsBody>

const harmless = {
  mirostat: 0,
  tfs_z: 1,
  typical_p: 1,
  logits_all: false,
  vocab_only: false,
  embedding_only: false,
} as const satisfies Partial<OptionsBody>

/** What of the options makes an answer another. */
export type AnswerOptions = Readonly<{
  sampling: SamplingParameters
  maxTokens: number | undefined
  stop: readonly string[]
}>

/** Throws `invalid` for what cannot be honoured. */
export function fromOptions(options: OptionsBody = {}): AnswerOptions {
  refuseOtherSamplers(options)
  const { seed = -1, num_predict: limit = -1, repeat_last_n: window = usualWindow } = options
  if (limit === 0) throw wrongField('options.num_predict', 'at least 1, or -1 for no limit', '0')
  const {
    repeat_penalty: repeatPenalty,
    frequency_penalty: frequencyPenalty = 0,
    presence_penalty: presencePenalty = 0,
  } = options
  const penalizes =
    window !== 0 && ((repeatPenalty ?? predictDefaults.repeatPenalty) !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0)
  if (penalizes && window !== usualWindow)
    throw wrongField('options.repeat_last_n', `${usualWindow} or 0 where there is a penalty`, String(window))
  if (penalizes && options.penalize_newline === false)
    throw wrongField('options.penalize_newline', 'true where there is a penalty', 'false')
  return {
    // The same as /predict's where nothing is said, so that a question has one answer in all dialects.
    sampling: {
      ...resolveSampling(
        {
          temperature: options.temperature,
          topP: options.top_p,
          topK: options.top_k,
          minP: options.min_p,
          repeatPenalty: penalizes || repeatPenalty === undefined ? repeatPenalty : 1,
        },
        predictDefaults,
      ),
      ...(penalizes ? { frequencyPenalty, presencePenalty } : {}),
      seed: seed === -1 ? undefined : seed,
    },
    maxTokens: limit < 0 ? undefined : limit,
    stop: options.stop ?? [],
  }
}

function refuseOtherSamplers(options: OptionsBody): void {
  for (const [name, value] of Object.entries(harmless)) {
    const given = Object.entries(options).find(([field]) => field === name)?.[1]
    if (given === undefined || given === value) continue
    throw wrongField(
      `options.${name}`,
      `left out or ${value} (there is no such way to choose tokens here)`,
      JSON.stringify(given),
    )
  }
}
