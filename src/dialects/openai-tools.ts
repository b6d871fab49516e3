import Type, { type Static } from 'typebox'
import type { Tool, Tools } from '../engine/provider.ts'
import { taggedUnion } from '../http/tagged-union.ts'
import { wrongField } from './refuse-fields.ts'

/** OpenAI's own limit. */
const mostTools = 128
const functionName = Type.String({ pattern: '^[a-zA-Z0-9_-]{1,128}$' })

const functionFields = {
  name: functionName,
  description: Type.Optional(Type.String({ maxLength: 100_000 })),
  parameters: Type.Optional(
    Type.Unsafe<Readonly<Record<string, unknown>>>({
      type: ['object', 'null'],
      description: 'A JSON schema. Left out: no arguments.',
    }),
  ),
  strict: Type.Optional(Type.Boolean({ description: 'A model on this machine always keeps to the schema.' })),
}

const exactly = { additionalProperties: false } as const

/** As /v1/chat/completions has them. */
export const chatTools = Type.Array(
  taggedUnion('type', [
    Type.Object(
      {
        type: Type.Literal('function'),
        function: Type.Object(functionFields, exactly),
        cache_control: Type.Optional(Type.Unknown({ description: 'It changes no answer.' })),
      },
      exactly,
    ),
  ]),
  { maxItems: mostTools },
)

/** As /v1/responses has them: flat. */
export const flatTools = Type.Array(
  taggedUnion('type', [
    Type.Object(
      {
        type: Type.Literal('function', { description: 'Tools that OpenAI runs (search, files, computers) are not here.' }),
        ...functionFields,
      },
      exactly,
    ),
  ]),
  { maxItems: mostTools },
)

const mode = Type.Enum(['auto', 'required'])
const plainChoice = Type.Enum(['none', 'auto', 'required'])
const named = Type.Object({ name: functionName }, exactly)
const chatReference = Type.Object({ type: Type.Literal('function'), function: named }, exactly)
const flatReference = Type.Object({ type: Type.Literal('function'), name: functionName }, exactly)

export const chatToolChoice = Type.Union([
  plainChoice,
  taggedUnion('type', [
    chatReference,
    Type.Object(
      {
        type: Type.Literal('allowed_tools'),
        allowed_tools: Type.Object({ mode, tools: Type.Array(chatReference, { maxItems: mostTools }) }, exactly),
      },
      exactly,
    ),
  ]),
])
export type ChatToolChoice = Static<typeof chatToolChoice>

export const flatToolChoice = Type.Union([
  plainChoice,
  taggedUnion('type', [
    flatReference,
    Type.Object(
      { type: Type.Literal('allowed_tools'), mode, tools: Type.Array(flatReference, { maxItems: mostTools }) },
      exactly,
    ),
  ]),
])
export type FlatToolChoice = Static<typeof flatToolChoice>

/** A function as either endpoint describes it. */
type FunctionBody = Readonly<{
  name: string
  description?: string
  parameters?: Readonly<Record<string, unknown>> | null
  strict?: boolean
}>

/** A choice, whatever endpoint it came to; `only`: the names of the tools that are left, for `allowed_tools`. */
type ToolChoice = Readonly<{ choice: Tools['choice'] | undefined; only?: readonly string[] }>

export function readChatToolChoice(choice: ChatToolChoice | undefined): ToolChoice {
  if (choice === undefined || typeof choice === 'string') return { choice }
  if (choice.type === 'function') return { choice: { name: choice.function.name } }
  const { mode: allowed, tools } = choice.allowed_tools
  return { choice: allowed, only: tools.map((tool) => tool.function.name) }
}

export function readFlatToolChoice(choice: FlatToolChoice | undefined): ToolChoice {
  if (choice === undefined || typeof choice === 'string') return { choice }
  if (choice.type === 'function') return { choice: { name: choice.name } }
  return { choice: choice.mode, only: choice.tools.map(({ name }) => name) }
}

type ToolsOptions = Readonly<{
  parallel: boolean | undefined
  /** Where the request holds the parameters of the function with this number. */
  field: (place: number) => string
}>

/** Throws `invalid` for a choice among tools that are not there, and for two tools of one name. */
export function toTools(
  functions: readonly FunctionBody[],
  { choice, only }: ToolChoice,
  { parallel = true, field }: ToolsOptions,
): Tools | undefined {
  const names = functions.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw wrongField('tools', 'functions of different names', `a list with two called "${twice}"`)
  const wanted = [...(typeof choice === 'object' ? [choice.name] : []), ...(only ?? [])]
  for (const name of wanted)
    if (!names.includes(name)) throw wrongField('tool_choice', 'a function among "tools"', `"${name}", which is not there`)
  const tools = functions.map((one, place) => toTool(one, field(place))).filter(({ name }) => only?.includes(name) ?? true)
  if (tools.length > 0) return { tools, choice: choice ?? 'auto', parallel }
  if (choice === 'required') throw wrongField('tool_choice', '"none" or "auto" where there are no "tools"', '"required"')
  return undefined
}

function toTool({ name, description, parameters }: FunctionBody, field: string): Tool {
  return {
    name,
    ...(description === undefined ? {} : { description }),
    parameters: parameters ?? { type: 'object', properties: {} },
    field,
  }
}
