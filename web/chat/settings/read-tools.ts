import { conversationBounds } from '../../../src/conversations/bounds.ts'
import type { ConversationSettings } from '../../../src/conversations/schema.ts'

type Tools = NonNullable<ConversationSettings['tools']>
type Tool = Tools[number]

/** What is wrong; `at` counts the tools from 1. */
export type ToolsProblem =
  | Readonly<{ problem: 'no-json'; says: string }>
  | Readonly<{ problem: 'no-list' }>
  | Readonly<{ problem: 'too-many'; most: number }>
  | Readonly<{ problem: 'no-tool' | 'no-name' | 'bad-name' | 'bad-description' | 'bad-parameters'; at: number }>
  | Readonly<{ problem: 'same-name'; at: number; name: string }>

export type ReadTools = Readonly<{ tools: Tools | undefined; problem?: undefined }> | ToolsProblem

/**
 * Reads the functions that a model may call: `[{name, description?, parameters?}]`, OpenAI's `[{type: "function", function: {…}}]`, or one of
 * them alone. Nothing but space: none.
 */
export function readTools(text: string): ReadTools {
  if (text.trim() === '') return { tools: undefined }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return { problem: 'no-json', says: error instanceof Error ? error.message : '' }
  }
  const listed = isObject(value) && Array.isArray(value.tools) ? value.tools : isObject(value) ? [value] : value
  if (!Array.isArray(listed)) return { problem: 'no-list' }
  if (listed.length > conversationBounds.tools) return { problem: 'too-many', most: conversationBounds.tools }
  const tools: Tool[] = []
  for (const [index, one] of listed.entries()) {
    const read = readTool(one, index + 1)
    if ('problem' in read) return read
    if (tools.some(({ name }) => name === read.name)) return { problem: 'same-name', at: index + 1, name: read.name }
    tools.push(read)
  }
  return { tools: tools.length === 0 ? undefined : tools }
}

function readTool(value: unknown, at: number): Tool | ToolsProblem {
  const described = isObject(value) && isObject(value.function) ? value.function : value
  if (!isObject(described)) return { problem: 'no-tool', at }
  const { name, description, parameters } = described
  if (typeof name !== 'string' || name === '') return { problem: 'no-name', at }
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) return { problem: 'bad-name', at }
  if (description !== undefined && typeof description !== 'string') return { problem: 'bad-description', at }
  if (parameters !== undefined && !isObject(parameters)) return { problem: 'bad-parameters', at }
  return {
    name,
    ...(description === undefined ? {} : { description }),
    ...(parameters === undefined ? {} : { parameters }),
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const writeTools = (tools: Tools | undefined): string => (tools === undefined ? '' : JSON.stringify(tools, undefined, 2))
