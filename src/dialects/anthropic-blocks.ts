import Type, { type Static, type TObject } from 'typebox'
import { taggedUnion } from '../http/tagged-union.ts'
import { predictBounds } from '../predict/schema.ts'

const strict = { additionalProperties: false } as const

const longText = Type.String({ maxLength: predictBounds.promptCharacters })
const inside = { maxItems: predictBounds.messageParts } as const
const id = Type.String({ minLength: 1, maxLength: 200 })

export const cacheControl = Type.Optional(
  Type.Object(
    { type: Type.Literal('ephemeral') },
    { additionalProperties: true, description: 'Changes nothing: beginnings of prompts are always kept.' },
  ),
)
const noCitations = Type.Optional(
  Type.Object({ enabled: Type.Optional(Type.Literal(false)) }, { ...strict, description: 'Citations are not made.' }),
)

export const textBlock = Type.Object(
  {
    type: Type.Literal('text'),
    text: longText,
    cache_control: cacheControl,
    citations: Type.Optional(Type.Array(Type.Unknown(), { maxItems: 0 })),
  },
  strict,
)

const imageBlock = Type.Object(
  {
    type: Type.Literal('image'),
    source: taggedUnion('type', [
      Type.Object(
        {
          type: Type.Literal('base64'),
          media_type: Type.Enum(['image/jpeg', 'image/png', 'image/gif', 'image/webp']),
          data: Type.String({ minLength: 1 }),
        },
        strict,
      ),
      Type.Object({ type: Type.Literal('url'), url: Type.String({ pattern: '^https://', maxLength: 8192 }) }, strict),
    ]),
    cache_control: cacheControl,
  },
  strict,
)

const documentBlock = Type.Object(
  {
    type: Type.Literal('document'),
    source: taggedUnion('type', [
      Type.Object({ type: Type.Literal('text'), media_type: Type.Literal('text/plain'), data: longText }, strict),
      Type.Object({ type: Type.Literal('content'), content: Type.Union([longText, Type.Array(textBlock, inside)]) }, strict),
    ]),
    title: Type.Optional(longText),
    context: Type.Optional(longText),
    citations: noCitations,
    cache_control: cacheControl,
  },
  strict,
)

const searchResultBlock = Type.Object(
  {
    type: Type.Literal('search_result'),
    source: longText,
    title: longText,
    content: Type.Array(textBlock, inside),
    citations: noCitations,
    cache_control: cacheControl,
  },
  strict,
)

const toolReferenceBlock = Type.Object(
  { type: Type.Literal('tool_reference'), tool_name: id, cache_control: cacheControl },
  strict,
)

const toolResultBlock = Type.Object(
  {
    type: Type.Literal('tool_result'),
    tool_use_id: id,
    content: Type.Optional(
      Type.Union([
        longText,
        Type.Array(taggedUnion('type', [textBlock, imageBlock, documentBlock, searchResultBlock, toolReferenceBlock]), inside),
      ]),
    ),
    is_error: Type.Optional(Type.Boolean()),
    cache_control: cacheControl,
  },
  strict,
)

const toolUseBlock = Type.Object(
  {
    type: Type.Literal('tool_use'),
    id,
    name: id,
    input: Type.Unsafe<Readonly<Record<string, unknown>>>({ type: 'object' }),
    caller: Type.Optional(Type.Object({ type: Type.Literal('direct') }, strict)),
    cache_control: cacheControl,
  },
  strict,
)

const thinkingBlock = Type.Object(
  { type: Type.Literal('thinking'), thinking: longText, signature: Type.Optional(longText), cache_control: cacheControl },
  strict,
)

const redactedThinkingBlock = Type.Object(
  { type: Type.Literal('redacted_thinking'), data: longText, cache_control: cacheControl },
  strict,
)

const content = <Block extends TObject[]>(...blocks: Block) =>
  Type.Union([longText, Type.Array(taggedUnion('type', [...blocks]), { minItems: 1, ...inside })])

/** A message of the conversation, with what may stand in it by its role. */
export const message = taggedUnion('role', [
  Type.Object(
    {
      role: Type.Literal('user'),
      content: content(textBlock, imageBlock, documentBlock, searchResultBlock, toolResultBlock),
    },
    strict,
  ),
  Type.Object(
    { role: Type.Literal('assistant'), content: content(textBlock, thinkingBlock, redactedThinkingBlock, toolUseBlock) },
    strict,
  ),
  Type.Object({ role: Type.Literal('system'), content: content(textBlock) }, strict),
])

export const systemPrompt = Type.Union([longText, Type.Array(textBlock, inside)])

export type MessageParam = Static<typeof message>
export type SystemPrompt = Static<typeof systemPrompt>
export type UserMessageParam = Extract<MessageParam, { role: 'user' }>
export type AssistantMessageParam = Extract<MessageParam, { role: 'assistant' }>
export type TextBlock = Static<typeof textBlock>
export type ImageBlock = Static<typeof imageBlock>
export type DocumentBlock = Static<typeof documentBlock>
export type SearchResultBlock = Static<typeof searchResultBlock>
export type ToolResultBlock = Static<typeof toolResultBlock>
