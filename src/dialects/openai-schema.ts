import Type, { type Static } from 'typebox'
import { predictBounds, predictDefaults } from '../predict/schema.ts'

/** Of /v1/completions, where a request says nothing: OpenAI's own. A chat answer goes on to its end, or to that of the context window. */
export const defaultCompletionTokens = 16

const maxMessages = 2000
const stopText = Type.String({ minLength: 1, maxLength: predictBounds.stopCharacters })
const tokenLimit = (description: string) => Type.Integer({ minimum: 1, maximum: predictBounds.maxTokens, description })
const notSupported = Type.Unknown({ description: 'Not supported yet: only the value that changes nothing is accepted.' })

const commonFields = {
  model: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'The name of the loaded model (see /v1/models), which also answers when it is left out.',
    }),
  ),
  n: Type.Optional(Type.Integer({ minimum: 1, maximum: predictBounds.choices, default: predictDefaults.choices })),
  temperature: Type.Optional(
    Type.Number({ minimum: 0, maximum: predictBounds.temperature, default: predictDefaults.temperature }),
  ),
  top_p: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1, default: predictDefaults.topP })),
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
  seed: Type.Optional(Type.Integer({ minimum: 0, maximum: predictBounds.seed })),
  stop: Type.Optional(Type.Union([stopText, Type.Array(stopText, { maxItems: predictBounds.stopTexts })])),
  stream: Type.Optional(Type.Boolean({ default: false })),
  stream_options: Type.Optional(
    Type.Object(
      { include_usage: Type.Optional(Type.Boolean()), include_obfuscation: Type.Optional(Type.Boolean()) },
      { additionalProperties: false },
    ),
  ),
  // Sent by clients for OpenAI's own bookkeeping: they change no answer.
  user: Type.Optional(Type.String({ maxLength: 500 })),
  safety_identifier: Type.Optional(Type.String({ maxLength: 500 })),
  prompt_cache_key: Type.Optional(Type.String({ maxLength: 500 })),
  metadata: Type.Optional(Type.Object({}, { additionalProperties: true })),
  frequency_penalty: Type.Optional(notSupported),
  presence_penalty: Type.Optional(notSupported),
  logit_bias: Type.Optional(notSupported),
  logprobs: Type.Optional(notSupported),
  service_tier: Type.Optional(notSupported),
}

const message = Type.Object(
  {
    role: Type.Unsafe<'system' | 'developer' | 'user' | 'assistant'>({
      type: 'string',
      enum: ['system', 'developer', 'user', 'assistant'],
    }),
    content: Type.Union([
      Type.String({ maxLength: predictBounds.promptCharacters }),
      Type.Array(
        Type.Object(
          { type: Type.String(), text: Type.Optional(Type.String({ maxLength: predictBounds.promptCharacters })) },
          { additionalProperties: true },
        ),
        {
          minItems: 1,
          maxItems: maxMessages,
          description: 'Only parts of type "text".',
        },
      ),
    ]),
    name: Type.Optional(Type.String({ description: 'Not shown to the model.' })),
    // Clients send an earlier answer back as they got it.
    refusal: Type.Optional(notSupported),
    annotations: Type.Optional(notSupported),
    tool_calls: Type.Optional(notSupported),
    function_call: Type.Optional(notSupported),
    audio: Type.Optional(notSupported),
  },
  { additionalProperties: false },
)
export type ChatRequestMessage = Static<typeof message>

const responseFormat = Type.Object(
  {
    type: Type.Unsafe<'text' | 'json_object' | 'json_schema'>({ type: 'string', enum: ['text', 'json_object', 'json_schema'] }),
    json_schema: Type.Optional(
      Type.Object(
        {
          name: Type.Optional(Type.String()),
          description: Type.Optional(Type.String()),
          strict: Type.Optional(Type.Union([Type.Boolean(), Type.Null()], { description: 'The schema is always kept to.' })),
          schema: Type.Optional(Type.Unknown()),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)
export type ResponseFormat = Static<typeof responseFormat>

export const chatBody = Type.Object(
  {
    messages: Type.Array(message, { minItems: 1, maxItems: maxMessages }),
    ...commonFields,
    max_completion_tokens: Type.Optional(tokenLimit('At most this many new tokens for each answer.')),
    max_tokens: Type.Optional(tokenLimit('The older name of max_completion_tokens, which counts when both are given.')),
    response_format: Type.Optional(responseFormat),
    parallel_tool_calls: Type.Optional(Type.Boolean({ description: 'Without tools it changes nothing.' })),
    store: Type.Optional(notSupported),
    tools: Type.Optional(notSupported),
    tool_choice: Type.Optional(notSupported),
    functions: Type.Optional(notSupported),
    function_call: Type.Optional(notSupported),
    top_logprobs: Type.Optional(notSupported),
    modalities: Type.Optional(notSupported),
    audio: Type.Optional(notSupported),
    prediction: Type.Optional(notSupported),
    reasoning_effort: Type.Optional(notSupported),
    verbosity: Type.Optional(notSupported),
    web_search_options: Type.Optional(notSupported),
  },
  { additionalProperties: false },
)
export type ChatBody = Static<typeof chatBody>

const promptText = Type.String({ minLength: 1, maxLength: predictBounds.promptCharacters })

export const completionBody = Type.Object(
  {
    prompt: Type.Union([promptText, Type.Array(promptText, { minItems: 1, maxItems: 1 })], {
      description: 'One text, or a list of one.',
    }),
    ...commonFields,
    max_tokens: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: predictBounds.maxTokens,
        default: defaultCompletionTokens,
        description: 'At most this many new tokens for each answer.',
      }),
    ),
    best_of: Type.Optional(notSupported),
    echo: Type.Optional(notSupported),
    suffix: Type.Optional(notSupported),
  },
  { additionalProperties: false },
)
export type CompletionBody = Static<typeof completionBody>

const usageBody = Type.Object({
  prompt_tokens: Type.Integer(),
  completion_tokens: Type.Integer(),
  total_tokens: Type.Integer(),
  prompt_tokens_details: Type.Object({ cached_tokens: Type.Integer() }),
})
export type UsageBody = Static<typeof usageBody>

const finishReason = Type.Enum(['stop', 'length', 'tool_calls', 'content_filter'])
const answerHead = { id: Type.String(), created: Type.Integer({ description: 'Seconds since 1970.' }), model: Type.String() }

export const chatAnswer = Type.Object({
  ...answerHead,
  object: Type.Literal('chat.completion'),
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      message: Type.Object({ role: Type.Literal('assistant'), content: Type.String(), refusal: Type.Null() }),
      logprobs: Type.Null(),
      finish_reason: finishReason,
    }),
  ),
  usage: usageBody,
})
export type ChatAnswer = Static<typeof chatAnswer>

export const completionAnswer = Type.Object({
  ...answerHead,
  object: Type.Literal('text_completion'),
  choices: Type.Array(
    Type.Object({ index: Type.Integer(), text: Type.String(), logprobs: Type.Null(), finish_reason: finishReason }),
  ),
  usage: usageBody,
})
export type CompletionAnswer = Static<typeof completionAnswer>

export const modelAnswer = Type.Object({
  id: Type.String(),
  object: Type.Literal('model'),
  created: Type.Integer({ description: 'Seconds since 1970.' }),
  owned_by: Type.String(),
})
export const modelListAnswer = Type.Object({ object: Type.Literal('list'), data: Type.Array(modelAnswer) })
