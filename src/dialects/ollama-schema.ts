import Type, { type Static } from 'typebox'
import { predictBounds } from '../predict/schema.ts'
import { modelName } from './ollama-border.ts'
import { optionsBody } from './ollama-options.ts'

const maxImages = 64
const mostAlternatives = 20

const text = Type.String({ maxLength: predictBounds.promptCharacters })
const json = Type.Unsafe<Readonly<Record<string, unknown>>>({ type: 'object', additionalProperties: true })
const images = Type.Array(Type.String(), { maxItems: maxImages, description: 'PNG, JPEG, GIF or WebP, as base64.' })

const commonFields = {
  model: modelName,
  stream: Type.Optional(
    Type.Boolean({ default: true, description: 'false: one JSON answer. Else lines of JSON as it is written.' }),
  ),
  format: Type.Optional(
    Type.Unsafe<string | Readonly<Record<string, unknown>>>({
      anyOf: [
        { type: 'string', enum: ['json', ''] },
        { type: 'object', additionalProperties: true },
      ],
      description: '"json", or a JSON schema.',
    }),
  ),
  options: Type.Optional(optionsBody),
  keep_alive: Type.Optional(
    Type.Union([Type.Number(), Type.String({ maxLength: 50 })], {
      description:
        'Seconds, or a text such as "5m". 0: an admin has the model leave memory after the answer. Else without effect: how long models ' +
        'stay is a setting of the service (KEEP_ALIVE).',
    }),
  ),
  think: Type.Optional(
    Type.Unsafe<boolean | 'low' | 'medium' | 'high' | 'max'>({
      anyOf: [{ type: 'boolean' }, { type: 'string', enum: ['low', 'medium', 'high', 'max'] }],
    }),
  ),
  logprobs: Type.Optional(Type.Boolean({ default: false })),
  top_logprobs: Type.Optional(
    Type.Integer({ minimum: 0, maximum: mostAlternatives, default: 0, description: 'Counts with logprobs only.' }),
  ),
  truncate: Type.Optional(
    Type.Boolean({ description: 'Without effect: nothing is cut; a prompt that does not fit is refused.' }),
  ),
  shift: Type.Optional(Type.Boolean({ description: 'Without effect: an answer ends at the end of the context window.' })),
  _debug_render_only: Type.Optional(Type.Literal(false)),
}

const requestedCall = Type.Object(
  {
    id: Type.Optional(Type.String({ maxLength: 200 })),
    type: Type.Optional(Type.Literal('function')),
    function: Type.Object(
      {
        index: Type.Optional(Type.Integer()),
        name: Type.String({ minLength: 1, maxLength: 200 }),
        arguments: Type.Optional(json),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
)

const message = Type.Object(
  {
    role: Type.String({
      pattern: '^(?:[sS]ystem|[uU]ser|[aA]ssistant|[tT]ool)$',
      description: 'system, user, assistant or tool',
    }),
    content: Type.Optional(text),
    thinking: Type.Optional(Type.String({ maxLength: predictBounds.promptCharacters, description: "Of the assistant's." })),
    images: Type.Optional(images),
    tool_calls: Type.Optional(Type.Array(requestedCall, { maxItems: 128 })),
    tool_name: Type.Optional(Type.String({ maxLength: 200, description: 'Of a tool message: whose result it is.' })),
    name: Type.Optional(Type.String({ maxLength: 200, description: 'The older name of tool_name.' })),
    tool_call_id: Type.Optional(Type.String({ maxLength: 200 })),
  },
  { additionalProperties: false },
)
export type MessageBody = Static<typeof message>

const tool = Type.Object(
  {
    type: Type.Optional(Type.Literal('function')),
    function: Type.Object(
      {
        type: Type.Optional(Type.String()),
        name: Type.String({ minLength: 1, maxLength: 200 }),
        description: Type.Optional(Type.String({ maxLength: 100_000 })),
        parameters: Type.Optional(json),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
)
export type ToolBody = Static<typeof tool>

export const chatBody = Type.Object(
  {
    ...commonFields,
    messages: Type.Optional(
      Type.Array(message, { maxItems: predictBounds.messages, description: 'None: the model is only loaded.' }),
    ),
    tools: Type.Optional(Type.Array(tool, { maxItems: 128 })),
  },
  { additionalProperties: false },
)
export type ChatBody = Static<typeof chatBody>

export const generateBody = Type.Object(
  {
    ...commonFields,
    prompt: Type.Optional(
      Type.String({ maxLength: predictBounds.promptCharacters, description: 'Empty: the model is only loaded.' }),
    ),
    system: Type.Optional(text),
    images: Type.Optional(images),
    raw: Type.Optional(
      Type.Boolean({ default: false, description: 'The prompt is continued as it is, without a chat template.' }),
    ),
    suffix: Type.Optional(Type.String({ description: 'Not supported: only an empty text is accepted.' })),
    template: Type.Optional(Type.String({ description: 'Not supported: only an empty text is accepted.' })),
    context: Type.Optional(Type.Array(Type.Integer(), { description: 'Not supported: only an empty list is accepted.' })),
  },
  { additionalProperties: false },
)
export type GenerateBody = Static<typeof generateBody>

const scored = {
  token: Type.String(),
  logprob: Type.Number(),
  bytes: Type.Array(Type.Integer()),
}
const logprobs = Type.Optional(
  Type.Array(Type.Object({ ...scored, top_logprobs: Type.Optional(Type.Array(Type.Object(scored))) })),
)
export const answeredCall = Type.Object({
  id: Type.String(),
  function: Type.Object({ index: Type.Integer(), name: Type.String(), arguments: json }),
})
export type AnsweredCall = Static<typeof answeredCall>

const nanoseconds = Type.Optional(Type.Integer({ description: 'Nanoseconds.' }))
const answerFields = {
  model: Type.String({ description: 'As it was asked for.' }),
  created_at: Type.String(),
  remote_model: Type.Optional(Type.String({ description: 'Where a cloud provider has answered: its model.' })),
  remote_host: Type.Optional(Type.String({ description: 'Where a cloud provider has answered: which.' })),
  done: Type.Boolean(),
  done_reason: Type.Optional(Type.String({ description: 'stop, length, content_filter, load or unload' })),
  total_duration: nanoseconds,
  load_duration: nanoseconds,
  prompt_eval_count: Type.Optional(Type.Integer()),
  prompt_eval_duration: nanoseconds,
  eval_count: Type.Optional(Type.Integer()),
  eval_duration: nanoseconds,
  logprobs,
  prediction_id: Type.Optional(Type.String({ description: 'Not in Ollama. What feedback names.' })),
}

export const chatAnswer = Type.Object({
  ...answerFields,
  message: Type.Object({
    role: Type.Literal('assistant'),
    content: Type.String(),
    thinking: Type.Optional(Type.String()),
    tool_calls: Type.Optional(Type.Array(answeredCall)),
  }),
})

export const generateAnswer = Type.Object({
  ...answerFields,
  response: Type.String(),
  thinking: Type.Optional(Type.String()),
  tool_calls: Type.Optional(Type.Array(answeredCall)),
})
