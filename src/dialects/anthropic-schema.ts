import Type, { type Static } from 'typebox'
import { predictBounds, predictDefaults } from '../predict/schema.ts'
import { cacheControl, message, systemPrompt } from './anthropic-blocks.ts'

const strict = { additionalProperties: false } as const
const notSupported = Type.Optional(
  Type.Unknown({ description: 'Not supported: only the value that changes nothing is accepted.' }),
)
const jsonSchema = Type.Unsafe<Readonly<Record<string, unknown>>>({ type: 'object' })

const tool = Type.Object(
  {
    type: Type.Optional(Type.Literal('custom')),
    name: Type.String({ pattern: '^[a-zA-Z0-9_.:-]{1,128}$' }),
    description: Type.Optional(Type.String({ maxLength: predictBounds.promptCharacters })),
    input_schema: jsonSchema,
    input_examples: Type.Optional(
      Type.Array(jsonSchema, { maxItems: predictBounds.messageParts, description: 'Shown to the model with the description.' }),
    ),
    defer_loading: Type.Optional(
      Type.Boolean({ description: 'true: the model sees the tool once a tool_reference of a tool_result names it.' }),
    ),
    strict: Type.Optional(Type.Boolean({ description: 'Changes nothing: schemas are kept to where the model can be made to.' })),
    eager_input_streaming: Type.Optional(Type.Boolean({ description: 'Changes nothing: arguments come as they are written.' })),
    allowed_callers: Type.Optional(Type.Array(Type.Literal('direct'), { minItems: 1, maxItems: 1 })),
    cache_control: cacheControl,
  },
  strict,
)
export type ToolParam = Static<typeof tool>

const parallelField = { disable_parallel_tool_use: Type.Optional(Type.Boolean()) }
const toolChoice = Type.Object(
  { type: Type.Enum(['auto', 'any', 'tool', 'none']), name: Type.Optional(Type.String()), ...parallelField },
  strict,
)

const thinking = Type.Object(
  {
    type: Type.Enum(['enabled', 'adaptive', 'disabled']),
    budget_tokens: Type.Optional(Type.Integer({ minimum: 1024, description: 'Tells how hard to think, not how long.' })),
    display: Type.Optional(Type.Enum(['summarized', 'omitted'], { description: 'omitted: thinking blocks come without text.' })),
  },
  strict,
)

const outputFormat = Type.Object({ type: Type.Literal('json_schema'), schema: jsonSchema }, strict)

const outputConfig = Type.Object(
  {
    effort: Type.Optional(Type.Enum(['low', 'medium', 'high', 'xhigh', 'max'])),
    format: Type.Optional(outputFormat),
  },
  strict,
)

/** What the prompt is made of, and what belongs to it. */
const promptFields = {
  model: Type.String({ minLength: 1, maxLength: 200, description: 'The name or alias of a model (see /v1/models).' }),
  messages: Type.Array(message, { minItems: 1, maxItems: predictBounds.messages }),
  system: Type.Optional(systemPrompt),
  tools: Type.Optional(Type.Array(tool, { maxItems: 1000 })),
  tool_choice: Type.Optional(toolChoice),
  thinking: Type.Optional(thinking),
  output_config: Type.Optional(outputConfig),
  output_format: Type.Optional(outputFormat),
  cache_control: cacheControl,
  billing_policy: notSupported,
  compaction: notSupported,
  context_management: notSupported,
  mcp_servers: notSupported,
  speed: notSupported,
}

export const countTokensBody = Type.Object(promptFields, strict)
export type CountTokensBody = Static<typeof countTokensBody>

const stopText = Type.String({ minLength: 1, maxLength: predictBounds.stopCharacters })

export const messagesBody = Type.Object(
  {
    ...promptFields,
    max_tokens: Type.Integer({
      minimum: 1,
      maximum: predictBounds.maxTokens,
      description: 'At most this many new tokens. The end of the context window ends the answer too.',
    }),
    stop_sequences: Type.Optional(Type.Array(stopText, { maxItems: predictBounds.stopTexts })),
    stream: Type.Optional(Type.Boolean({ default: false })),
    temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: predictDefaults.temperature })),
    top_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: predictDefaults.topP })),
    top_k: Type.Optional(
      Type.Integer({ minimum: 0, maximum: predictBounds.topK, default: predictDefaults.topK, description: '0 switches it off.' }),
    ),
    // Sent by clients for Anthropic's own bookkeeping: they change no answer.
    metadata: Type.Optional(Type.Object({ user_id: Type.Optional(Type.String({ maxLength: 2000 })) }, strict)),
    service_tier: Type.Optional(Type.Enum(['auto', 'standard_only'])),
    diagnostics: Type.Optional(Type.Object({ previous_message_id: Type.Optional(Type.String()) }, strict)),
    container: notSupported,
    fallback_credit_token: notSupported,
    fallbacks: notSupported,
    inference_geo: notSupported,
    thread: notSupported,
  },
  strict,
)
export type MessagesBody = Static<typeof messagesBody>

export const countTokensAnswer = Type.Object({ input_tokens: Type.Integer() })

const nullable = (field: string) => Type.Null({ description: `${field}: never given.` })

const usageBody = Type.Object({
  input_tokens: Type.Integer({ description: 'Tokens of the prompt that were computed for this answer.' }),
  cache_read_input_tokens: Type.Integer({ description: 'Tokens of the prompt that were in memory already.' }),
  cache_creation_input_tokens: Type.Integer(),
  cache_creation: nullable('cache_creation'),
  output_tokens: Type.Integer(),
  output_tokens_details: Type.Union([Type.Object({ thinking_tokens: Type.Integer() }), Type.Null()]),
  server_tool_use: nullable('server_tool_use'),
  service_tier: Type.Literal('standard'),
  inference_geo: nullable('inference_geo'),
  speed: nullable('speed'),
})
export type UsageBody = Static<typeof usageBody>

const contentBlock = Type.Union([
  Type.Object({ type: Type.Literal('text'), text: Type.String(), citations: Type.Null() }),
  Type.Object({ type: Type.Literal('thinking'), thinking: Type.String(), signature: Type.String() }),
  Type.Object({ type: Type.Literal('redacted_thinking'), data: Type.String() }),
  Type.Object({
    type: Type.Literal('tool_use'),
    id: Type.String(),
    name: Type.String(),
    input: Type.Unknown(),
    caller: Type.Object({ type: Type.Literal('direct') }),
  }),
])
export type ContentBlock = Static<typeof contentBlock>

const stopReason = Type.Union([
  Type.Literal('end_turn'),
  Type.Literal('max_tokens'),
  Type.Literal('stop_sequence'),
  Type.Literal('tool_use'),
  Type.Literal('refusal'),
])
export type StopReason = Static<typeof stopReason>

const stopDetails = Type.Object({ type: Type.Literal('refusal'), category: Type.Null(), explanation: Type.Null() })

export const messageAnswer = Type.Object({
  id: Type.String(),
  type: Type.Literal('message'),
  role: Type.Literal('assistant'),
  model: Type.String(),
  content: Type.Array(contentBlock),
  stop_reason: stopReason,
  stop_sequence: Type.Union([Type.String(), Type.Null()]),
  stop_details: Type.Union([stopDetails, Type.Null()]),
  container: nullable('container'),
  diagnostics: nullable('diagnostics'),
  usage: usageBody,
})
export type MessageAnswer = Static<typeof messageAnswer>
