import Type, { type Static } from 'typebox'
import { predictBounds } from '../predict/schema.ts'
import { answerFields, notSupported, tokenLimit } from './openai-fields.ts'
import { textFormat } from './openai-format.ts'
import { mostTopLogprobs } from './openai-logprobs.ts'
import { effortBody } from './openai-reasoning.ts'
import { inputItem, outputItem } from './openai-responses-items.ts'
import { flatToolChoice, flatTools } from './openai-tools.ts'

const exactly = { additionalProperties: false } as const
const text = Type.String({ maxLength: predictBounds.promptCharacters })

export const responseId = Type.String({ minLength: 1, maxLength: 200 })

/** What can be asked for besides; the names that are not explained concern tools that are not here. */
const includable = Type.Enum([
  'message.output_text.logprobs',
  'reasoning.encrypted_content',
  'file_search_call.results',
  'web_search_call.results',
  'web_search_call.action.sources',
  'message.input_image.image_url',
  'computer_call_output.output.image_url',
  'code_interpreter_call.outputs',
])

const summary = Type.Optional(
  Type.Enum(['auto', 'detailed'], { description: 'The whole of what was thought comes as the summary: none is written.' }),
)

/** What a prompt is made of. */
const promptFields = {
  input: Type.Union([text, Type.Array(inputItem, { minItems: 1, maxItems: predictBounds.messages })]),
  instructions: Type.Optional(text),
  previous_response_id: Type.Optional(responseId),
  tools: Type.Optional(flatTools),
  tool_choice: Type.Optional(flatToolChoice),
  parallel_tool_calls: Type.Optional(Type.Boolean({ default: true })),
  reasoning: Type.Optional(Type.Object({ effort: Type.Optional(effortBody), summary, generate_summary: summary }, exactly)),
  text: Type.Optional(Type.Object({ format: Type.Optional(textFormat), verbosity: Type.Optional(notSupported) }, exactly)),
}

const unsupportedFields = {
  truncation: Type.Optional(notSupported),
  background: Type.Optional(notSupported),
  background_options: Type.Optional(notSupported),
  conversation: Type.Optional(notSupported),
  context_management: Type.Optional(notSupported),
  moderation: Type.Optional(notSupported),
  prompt: Type.Optional(notSupported),
}

export const responsesBody = Type.Object(
  {
    ...promptFields,
    ...answerFields,
    max_output_tokens: Type.Optional(tokenLimit('At most this many new tokens, thought ones included.')),
    max_tool_calls: Type.Optional(Type.Integer({ description: 'Counts calls of tools that are not here.' })),
    top_logprobs: Type.Optional(Type.Integer({ minimum: 0, maximum: mostTopLogprobs })),
    include: Type.Optional(Type.Array(includable, { maxItems: 20 })),
    store: Type.Optional(
      Type.Boolean({
        default: true,
        description: 'Whether it can be asked for, and gone on from, later; false: nor is it remembered for feedback.',
      }),
    ),
    stream_options: Type.Optional(
      Type.Object(
        { include_obfuscation: Type.Optional(Type.Boolean({ description: 'Nothing is ever obfuscated here.' })) },
        exactly,
      ),
    ),
    client_metadata: Type.Optional(
      Type.Record(Type.String(), Type.String(), { description: "Clients' own bookkeeping: it changes nothing." }),
    ),
    ...unsupportedFields,
  },
  exactly,
)
export type ResponsesBody = Static<typeof responsesBody>

/** POST /v1/responses/input_tokens: how long a prompt would be. */
export const inputTokensBody = Type.Object(
  { ...promptFields, model: answerFields.model, provider: answerFields.provider, ...unsupportedFields },
  exactly,
)
export type InputTokensBody = Static<typeof inputTokensBody>

export const inputTokensAnswer = Type.Object({
  object: Type.Literal('response.input_tokens'),
  input_tokens: Type.Integer(),
})

const nullable = <Schema extends Type.TSchema>(schema: Schema) => Type.Union([schema, Type.Null()])

export const responseBody = Type.Object({
  id: Type.String(),
  object: Type.Literal('response'),
  created_at: Type.Integer({ description: 'Seconds since 1970.' }),
  completed_at: nullable(Type.Integer()),
  status: Type.Enum(['in_progress', 'completed', 'incomplete', 'failed']),
  background: Type.Literal(false),
  error: nullable(Type.Object({ code: Type.String(), message: Type.String() })),
  incomplete_details: nullable(Type.Object({ reason: Type.Enum(['max_output_tokens', 'content_filter']) })),
  instructions: nullable(Type.String()),
  max_output_tokens: nullable(Type.Integer()),
  max_tool_calls: nullable(Type.Integer()),
  metadata: Type.Record(Type.String(), Type.String()),
  model: Type.String(),
  output: Type.Array(outputItem),
  parallel_tool_calls: Type.Boolean(),
  previous_response_id: nullable(Type.String()),
  reasoning: Type.Object({ effort: nullable(Type.String()), summary: nullable(Type.String()) }),
  service_tier: Type.Literal('default'),
  store: Type.Boolean(),
  temperature: Type.Number(),
  text: Type.Object({ format: Type.Unsafe<Readonly<{ type: string }>>({}) }),
  tool_choice: Type.Unsafe<ResponsesBody['tool_choice']>({}),
  tools: Type.Array(Type.Unsafe<object>({})),
  top_logprobs: Type.Integer(),
  top_p: Type.Number(),
  truncation: Type.Literal('disabled'),
  usage: nullable(
    Type.Object({
      input_tokens: Type.Integer(),
      input_tokens_details: Type.Object({ cached_tokens: Type.Integer() }),
      output_tokens: Type.Integer(),
      output_tokens_details: Type.Object({ reasoning_tokens: Type.Integer() }),
      total_tokens: Type.Integer(),
    }),
  ),
  user: Type.Optional(Type.String()),
  safety_identifier: Type.Optional(Type.String()),
  prompt_cache_key: Type.Optional(Type.String()),
})
export type ResponseBody = Static<typeof responseBody>

export const deletedResponse = Type.Object({
  id: Type.String(),
  object: Type.Literal('response'),
  deleted: Type.Literal(true),
})

export const inputItemsQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    order: Type.Optional(Type.Enum(['asc', 'desc'], { default: 'desc' })),
    after: Type.Optional(Type.String({ description: 'The id of the last item of the page before.' })),
  },
  exactly,
)
export type InputItemsQuery = Static<typeof inputItemsQuery>

export const inputItemList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(Type.Unsafe<object>({})),
  first_id: nullable(Type.String()),
  last_id: nullable(Type.String()),
  has_more: Type.Boolean(),
})
export type InputItemList = Static<typeof inputItemList>
