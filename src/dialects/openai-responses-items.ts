import Type, { type Static } from 'typebox'
import { taggedUnion } from '../http/tagged-union.ts'
import { predictBounds } from '../predict/schema.ts'
import { tokenLogprob } from './openai-logprobs.ts'

const exactly = { additionalProperties: false } as const
const text = Type.String({ maxLength: predictBounds.promptCharacters })
const id = Type.String({ minLength: 1, maxLength: 500 })
const status = Type.Enum(['in_progress', 'completed', 'incomplete'])
const changesNothing = Type.Optional(Type.Unknown({ description: 'It changes no answer, and is not kept.' }))
/** What clients send back of an item as they got it. */
const returned = { id: Type.Optional(id), status: Type.Optional(status) }

const inputText = Type.Object({ type: Type.Literal('input_text'), text, prompt_cache_breakpoint: changesNothing }, exactly)
const inputImage = Type.Object(
  {
    type: Type.Literal('input_image', { description: 'Files are not taken.' }),
    image_url: Type.String({ minLength: 1, description: 'A data: or https: address.' }),
    detail: Type.Optional(Type.Enum(['auto', 'low', 'high', 'original'], { description: 'A hint; it is not used.' })),
    prompt_cache_breakpoint: changesNothing,
  },
  exactly,
)
const earlierText = Type.Object(
  {
    type: Type.Literal('output_text'),
    text,
    annotations: changesNothing,
    logprobs: changesNothing,
    parsed: changesNothing,
  },
  exactly,
)
const earlierRefusal = Type.Object({ type: Type.Literal('refusal'), refusal: text }, exactly)

const inputMessage = Type.Object(
  {
    type: Type.Literal('message'),
    role: Type.Enum(['user', 'assistant', 'system', 'developer']),
    content: Type.Union([
      text,
      Type.Array(taggedUnion('type', [inputText, inputImage, earlierText, earlierRefusal]), {
        minItems: 1,
        maxItems: predictBounds.messageParts,
      }),
    ]),
    ...returned,
    phase: changesNothing,
  },
  exactly,
)
export type MessageItem = Static<typeof inputMessage>

const earlierCall = Type.Object(
  {
    type: Type.Literal('function_call'),
    call_id: id,
    name: Type.String({ minLength: 1, maxLength: 200 }),
    arguments: text,
    ...returned,
    parsed_arguments: changesNothing,
  },
  exactly,
)

const callOutput = Type.Object(
  {
    type: Type.Literal('function_call_output'),
    call_id: id,
    output: Type.Union([
      text,
      Type.Array(taggedUnion('type', [inputText]), { minItems: 1, maxItems: predictBounds.messageParts }),
    ]),
    ...returned,
  },
  exactly,
)

const summaryText = Type.Object({ type: Type.Literal('summary_text'), text }, exactly)
const reasoningText = Type.Object({ type: Type.Literal('reasoning_text'), text }, exactly)
const thoughts = { maxItems: predictBounds.messageParts } as const
const reasoningItem = Type.Object(
  {
    type: Type.Literal('reasoning'),
    summary: Type.Optional(Type.Array(summaryText, thoughts)),
    content: Type.Optional(Type.Array(reasoningText, thoughts)),
    encrypted_content: Type.Optional(
      Type.String({ maxLength: predictBounds.promptCharacters, description: 'What the provider that reasoned signed it with.' }),
    ),
    ...returned,
  },
  exactly,
)
export type ReasoningItem = Static<typeof reasoningItem>

const itemReference = Type.Object({ type: Type.Literal('item_reference'), id }, exactly)

/** One thing of a conversation, as a request may bring it. A message's `type` may be left out. */
export const inputItem = taggedUnion('type', [inputMessage, earlierCall, callOutput, reasoningItem, itemReference])
export type InputItem = Static<typeof inputItem>
/** With references followed. */
export type ResolvedItem = Exclude<InputItem, { type: 'item_reference' }>

const outputText = Type.Object({
  type: Type.Literal('output_text'),
  text: Type.String(),
  annotations: Type.Array(Type.Unknown()),
  logprobs: Type.Array(tokenLogprob),
})
export type OutputText = Static<typeof outputText>

export const outputItem = Type.Union([
  Type.Object({
    type: Type.Literal('message'),
    id: Type.String(),
    role: Type.Literal('assistant'),
    status,
    content: Type.Array(outputText),
  }),
  Type.Object({
    type: Type.Literal('function_call'),
    id: Type.String(),
    call_id: Type.String(),
    name: Type.String(),
    arguments: Type.String(),
    status,
  }),
  Type.Object({
    type: Type.Literal('reasoning'),
    id: Type.String(),
    status,
    summary: Type.Array(Type.Object({ type: Type.Literal('summary_text'), text: Type.String() })),
    content: Type.Array(Type.Object({ type: Type.Literal('reasoning_text'), text: Type.String() })),
    encrypted_content: Type.Optional(Type.String()),
  }),
])
export type OutputItem = Static<typeof outputItem>
