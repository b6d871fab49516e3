import { createHash } from 'node:crypto'
import { AppError } from '../errors.ts'
import { namesOfCalls } from './chat-format-generic.ts'
import { isJsonObject } from './json-grammar-limits.ts'
import type { ChatMessage, ReasoningEffort, Tool } from './provider.ts'
import { parseJson } from './tool-calls-scan.ts'

export type TemplateConversation = Readonly<{
  messages: readonly ChatMessage[]
  /** Absent: none. */
  tools?: readonly Tool[]
  /** What the template is told of how long to think. Absent: nothing. */
  reasoning?: ReasoningEffort
  /** Whether ids of calls must be nine letters and digits. */
  shortCallIds?: boolean
  /** Whether the tools stand in the system message, as text, rather than beside the messages. */
  toolsInSystemMessage?: boolean
}>

export type VariableOptions = Readonly<{
  /** Keeps what was typed from being read as control tokens. */
  hide: (text: string) => string
  /** Stands behind the last message. */
  end: string
  /** Whether the arguments of calls are given as they were written, rather than as the object that the text is. */
  withTextArguments?: boolean
  /** What is given empty where there is none: tools and descriptions of them; lists of calls too. */
  fills?: 'tools' | 'all'
}>

/** Whether the last message is the beginning of the answer. */
export function continuesAnswer(messages: readonly ChatMessage[]): boolean {
  const last = messages.at(-1)
  return last?.role === 'assistant' && (last.toolCalls?.length ?? 0) === 0
}

type Fields = Readonly<Record<string, unknown>>

/**
 * What templates find by the names that they use: `messages` and `tools` as OpenAI writes them, and how long to think. What is not there
 * is absent, as templates ask whether a name is defined. Throws `invalid` for what is nested too deeply.
 */
export function toTemplateVariables(conversation: TemplateConversation, options: VariableOptions): Fields {
  const { messages, reasoning, shortCallIds = false, toolsInSystemMessage = false } = conversation
  const { hide, end } = options
  const isFilled = options.fills !== undefined
  const tools = conversation.tools ?? (isFilled ? [] : undefined)
  const names = namesOfCalls(messages)
  const written = messages.map((message, place) => ({
    ...hideInside(messageFields(message, { names, shortCallIds }, options), hide),
    content:
      hide(message.content) + (toolsInSystemMessage ? phiCalls(message, hide) : '') + (place === messages.length - 1 ? end : ''),
  }))
  const inSystem = toolsInSystemMessage && tools !== undefined
  return {
    messages: inSystem ? withTools(written, hide(JSON.stringify(tools.map(({ field: _field, ...shown }) => shown)))) : written,
    ...(tools === undefined || inSystem ? {} : hideInside({ tools: tools.map((tool) => toolFields(tool, isFilled)) }, hide)),
    ...(reasoning === undefined ? {} : { enable_thinking: reasoning !== 'none', thinking: reasoning !== 'none' }),
    ...(reasoning === undefined || reasoning === 'none' ? {} : { reasoning_effort: reasoning }),
  }
}

function toolFields({ name, parameters, ...given }: Tool, isFilled: boolean): Fields {
  const description = given.description ?? (isFilled ? '' : undefined)
  return {
    type: 'function',
    function: {
      name,
      ...(description === undefined ? {} : { description }),
      parameters: isFilled ? describeProperties(parameters ?? noParameters) : (parameters ?? noParameters),
    },
  }
}

function describeProperties(schema: unknown): unknown {
  if (!isJsonObject(schema) || !isJsonObject(schema.properties)) return schema
  const described = Object.entries(schema.properties).map(([name, property]) => [
    name,
    isJsonObject(property) ? { description: '', ...property } : property,
  ])
  return { ...schema, properties: Object.fromEntries(described) }
}
const noParameters = { type: 'object', properties: {} }

/** All but the content. */
function messageFields(
  message: ChatMessage,
  { names, shortCallIds }: Readonly<{ names: ReadonlyMap<string, string>; shortCallIds: boolean }>,
  options: VariableOptions,
): Fields {
  const { role } = message
  const noCalls = options.fills === 'all' ? { tool_calls: [] } : {}
  const idOf = (id: string) => (shortCallIds ? shortCallId(id) : id)
  switch (role) {
    case 'tool': {
      const name = names.get(message.toolCallId)
      return { role, tool_call_id: idOf(message.toolCallId), ...(name === undefined ? {} : { name }), ...noCalls }
    }
    case 'assistant': {
      const { toolCalls = [], reasoning } = message
      const calls = toolCalls.map(({ id, name, arguments: json }) => ({
        id: idOf(id),
        type: 'function',
        function: { name, arguments: options.withTextArguments ? json : argumentsOf(json) },
      }))
      return {
        role,
        ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
        ...(calls.length === 0 ? noCalls : { tool_calls: calls }),
      }
    }
    default:
      return { role, ...noCalls }
  }
}

/** Phi's template writes contents only: the calls must be part of them. */
function phiCalls(message: ChatMessage, hide: (text: string) => string): string {
  if (message.role !== 'assistant' || message.toolCalls === undefined || message.toolCalls.length === 0) return ''
  const calls = message.toolCalls.map(({ name, arguments: json }) => ({ name, arguments: argumentsOf(json) }))
  return `<|tool_call|>${hide(JSON.stringify(calls))}<|/tool_call|>`
}

/** Most templates want the object; a text that is none stays a text. */
function argumentsOf(json: string): unknown {
  if (json.trim() === '') return {}
  const value = parseJson(json)
  return isJsonObject(value) ? value : json
}

function withTools(messages: readonly (Fields & Readonly<{ content: string }>)[], tools: string): readonly Fields[] {
  const [first, ...rest] = messages
  return first?.role === 'system' ? [{ ...first, tools }, ...rest] : [{ role: 'system', content: '', tools }, ...messages]
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** Nine letters and digits that are the same for the same id. */
function shortCallId(id: string): string {
  if (/^[a-zA-Z0-9]{9}$/.test(id)) return id
  return Array.from(createHash('sha256').update(id).digest().subarray(0, 9), (byte) => letters[byte % letters.length]).join('')
}

const deepest = 100

/** The same fields with every text inside, and every key, covered. */
function hideInside(fields: Fields, hide: (text: string) => string, depth = 0): Fields {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [hide(key), hideValue(value, hide, depth)]))
}

function hideValue(value: unknown, hide: (text: string) => string, depth: number): unknown {
  if (depth > deepest) throw new AppError('invalid', `Tools and arguments may be nested ${deepest} levels deep at most.`)
  if (typeof value === 'string') return hide(value)
  if (Array.isArray(value)) return value.map((item: unknown) => hideValue(item, hide, depth + 1))
  return isJsonObject(value) ? hideInside(value, hide, depth + 1) : value
}
