import Type, { type Static } from 'typebox'
import { taggedUnion } from '../http/tagged-union.ts'
import { predictBounds } from '../predict/schema.ts'
import { answerFields, completionFields, notSupported, tokenLimit } from './openai-fields.ts'
import { responseFormat } from './openai-format.ts'
import { chatLogprobs, mostTopLogprobs } from './openai-logprobs.ts'
import { effortBody } from './openai-reasoning.ts'
import { chatToolChoice, chatTools } from './openai-tools.ts'
import { finishReasonBody, usageBody } from './openai-usage.ts'

const exactly = { additionalProperties: false } as const
const text = Type.String({ maxLength: predictBounds.promptCharacters })
const changesNothing = Type.Optional(Type.Unknown({ description: 'It changes no answer.' }))
/** Beginnings of prompts are always remembered. The second is Anthropic's, which gateways pass on. */
const cacheMark = { prompt_cache_breakpoint: changesNothing, cache_control: changesNothing }

const textPart = Type.Object({ type: Type.Literal('text'), text, ...cacheMark }, exactly)
const refusalPart = Type.Object({ type: Type.Literal('refusal'), refusal: text }, exactly)
const imagePart = Type.Object(
  {
    type: Type.Literal('image_url', { description: 'Sound and files are not taken.' }),
    image_url: Type.Object(
      {
        url: Type.String({ minLength: 1, description: 'A data: or https: address.' }),
        detail: Type.Optional(Type.Enum(['auto', 'low', 'high'], { description: 'A hint; it is not used.' })),
      },
      exactly,
    ),
    ...cacheMark,
  },
  exactly,
)

const parts = { minItems: 1, maxItems: predictBounds.messageParts }
const textContent = Type.Union([text, Type.Array(taggedUnion('type', [textPart]), parts)])
const userContent = Type.Union([text, Type.Array(taggedUnion('type', [textPart, imagePart]), parts)])
const assistantContent = Type.Union([text, Type.Array(taggedUnion('type', [textPart, refusalPart]), parts)])
export type Content = Static<typeof textContent> | Static<typeof userContent> | Static<typeof assistantContent>

const name = Type.Optional(Type.String({ description: 'Not shown to the model.' }))

const toolCall = Type.Object(
  {
    id: Type.String({ minLength: 1, maxLength: 500 }),
    type: Type.Optional(Type.Literal('function')),
    // Clients that follow a stream send back their own place of a call.
    index: Type.Optional(Type.Integer()),
    function: Type.Object(
      {
        name: Type.String({ minLength: 1, maxLength: 200 }),
        arguments: text,
        parsed_arguments: Type.Optional(Type.Unknown({ description: 'Added by clients; it changes nothing.' })),
      },
      exactly,
    ),
  },
  exactly,
)

const assistantMessage = Type.Object(
  {
    role: Type.Literal('assistant'),
    content: Type.Optional(assistantContent),
    refusal: Type.Optional(text),
    reasoning_content: Type.Optional(text),
    tool_calls: Type.Optional(Type.Array(toolCall, { maxItems: predictBounds.messageParts })),
    name,
    parsed: Type.Optional(Type.Unknown({ description: 'Added by clients; it changes nothing.' })),
    // Clients send an earlier answer back as they got it.
    annotations: Type.Optional(notSupported),
    function_call: Type.Optional(notSupported),
    audio: Type.Optional(notSupported),
  },
  exactly,
)
export type AssistantMessage = Static<typeof assistantMessage>

const message = taggedUnion('role', [
  Type.Object({ role: Type.Enum(['system', 'developer']), content: textContent, name }, exactly),
  Type.Object({ role: Type.Literal('user'), content: userContent, name }, exactly),
  assistantMessage,
  Type.Object(
    {
      role: Type.Literal('tool'),
      content: textContent,
      tool_call_id: Type.String({ minLength: 1, maxLength: 500 }),
      name,
    },
    exactly,
  ),
])
export type ChatRequestMessage = Static<typeof message>

export const chatBody = Type.Object(
  {
    messages: Type.Array(message, { minItems: 1, maxItems: predictBounds.messages }),
    ...answerFields,
    ...completionFields,
    max_completion_tokens: Type.Optional(tokenLimit('At most this many new tokens for each answer.')),
    max_tokens: Type.Optional(tokenLimit('The older name of max_completion_tokens, which counts when both are given.')),
    response_format: Type.Optional(responseFormat),
    tools: Type.Optional(chatTools),
    tool_choice: Type.Optional(chatToolChoice),
    parallel_tool_calls: Type.Optional(Type.Boolean({ default: true, description: 'Without tools it changes nothing.' })),
    reasoning_effort: Type.Optional(effortBody),
    logprobs: Type.Optional(Type.Boolean()),
    top_logprobs: Type.Optional(Type.Integer({ minimum: 0, maximum: mostTopLogprobs })),
    prediction: Type.Optional(Type.Unknown({ description: 'What the answer may be like, to be faster. It changes no answer.' })),
    store: Type.Optional(
      Type.Unknown({ description: 'false: the answer is not remembered for feedback. true is not supported.' }),
    ),
    functions: Type.Optional(notSupported),
    function_call: Type.Optional(notSupported),
    modalities: Type.Optional(notSupported),
    audio: Type.Optional(notSupported),
    moderation: Type.Optional(notSupported),
    verbosity: Type.Optional(notSupported),
    web_search_options: Type.Optional(notSupported),
  },
  exactly,
)
export type ChatBody = Static<typeof chatBody>

const answerMessage = Type.Object({
  role: Type.Literal('assistant'),
  content: Type.Union([Type.String(), Type.Null()]),
  refusal: Type.Null(),
  reasoning_content: Type.Optional(Type.String({ description: 'Not in OpenAI. What the model thought before it answered.' })),
  tool_calls: Type.Optional(
    Type.Array(
      Type.Object({
        id: Type.String(),
        type: Type.Literal('function'),
        function: Type.Object({ name: Type.String(), arguments: Type.String() }),
      }),
    ),
  ),
})

export const chatAnswer = Type.Object({
  id: Type.String(),
  object: Type.Literal('chat.completion'),
  created: Type.Integer({ description: 'Seconds since 1970.' }),
  model: Type.String(),
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      message: answerMessage,
      logprobs: Type.Union([chatLogprobs, Type.Null()]),
      finish_reason: finishReasonBody,
    }),
  ),
  usage: usageBody,
  metadata: Type.Object({ prediction_id: Type.String({ description: 'What feedback names.' }) }),
})
export type ChatAnswer = Static<typeof chatAnswer>
