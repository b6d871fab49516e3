import type { ChatMessage, ChatPrompt, Prompt, ReasoningEffort } from '../engine/provider.ts'
import type { PredictRequest } from '../predict/predict.ts'
import { toModelName } from './ollama-border.ts'
import { toMessages, toTools, toUserMessage } from './ollama-messages.ts'
import { fromOptions } from './ollama-options.ts'
import type { ChatBody, GenerateBody } from './ollama-schema.ts'
import { wrongField } from './refuse-fields.ts'

/** What a request is about: an answer, or (without a question) the model alone. */
export type Question = Readonly<{
  /** Undefined: the model is only to come into memory, or to leave it. */
  request: PredictRequest | undefined
  model: string
  /** Whether the model is to leave memory afterwards. */
  leaves: boolean
}>

/** The request of the wire as ours. Throws `invalid`. */
export function fromChatBody(body: ChatBody): Question {
  const { messages = [], tools = [] } = body
  const offered: Pick<ChatPrompt, 'tools'> =
    tools.length === 0 ? {} : { tools: { tools: toTools(tools), choice: 'auto', parallel: true } }
  const prompt: ChatPrompt = { type: 'chat', messages: toMessages(messages), ...offered, ...toReasoning(body.think) }
  return toQuestion(body, messages.length === 0 ? undefined : prompt)
}

/** The request of the wire as ours. Throws `invalid`. */
export function fromGenerateBody(body: GenerateBody): Question {
  const { prompt: text = '', images = [], raw = false } = body
  refuse(body, 'suffix', 'left out: filling a gap in a text is not supported')
  refuse(body, 'template', "left out: the model's own chat template is used. With raw, the prompt is continued as it is")
  refuse(body, 'context', 'left out: send the conversation to /api/chat')
  if (text === '' && images.length === 0) return toQuestion(body, undefined)
  return toQuestion(body, raw ? toRawPrompt(body, text) : toChatPrompt(body, text))
}

function refuse(body: GenerateBody, field: 'suffix' | 'template' | 'context' | 'system' | 'images', expected: string): void {
  if ((body[field]?.length ?? 0) > 0) throw wrongField(field, expected, 'given')
}

function toRawPrompt(body: GenerateBody, text: string): Prompt {
  refuse(body, 'system', 'left out with raw')
  refuse(body, 'images', 'left out with raw')
  if (body.think !== undefined && body.think !== false)
    throw wrongField('think', 'left out or false with raw', String(body.think))
  return { type: 'text', text }
}

function toChatPrompt({ system = '', images = [], think }: GenerateBody, text: string): Prompt {
  const before: readonly ChatMessage[] = system === '' ? [] : [{ role: 'system', content: system }]
  return { type: 'chat', messages: [...before, toUserMessage(text, images, 'images')], ...toReasoning(think) }
}

function toQuestion(body: ChatBody | GenerateBody, prompt: Prompt | undefined): Question {
  const { logprobs = false, top_logprobs: alternatives = 0 } = body
  const model = toModelName(body.model)
  const leaves = isZero(body.keep_alive)
  const options = fromOptions(body.options)
  const format = toFormat(body.format)
  if (prompt === undefined) return { request: undefined, model, leaves }
  const scores = logprobs ? { logprobs: alternatives } : {}
  return { request: { ...options, ...format, ...scores, prompt, choices: 1, model, provider: undefined }, model, leaves }
}

const defaultEffort = 'medium'

function toReasoning(think: ChatBody['think']): Pick<ChatPrompt, 'reasoning'> {
  if (think === undefined) return {}
  const efforts = { true: defaultEffort, false: 'none', low: 'low', medium: 'medium', high: 'high', max: 'high' } as const
  const reasoning: ReasoningEffort = efforts[`${think}`]
  return { reasoning }
}

function toFormat(format: ChatBody['format']): Pick<PredictRequest, 'format'> {
  if (format === undefined || format === '') return {}
  if (typeof format === 'string') return { format: { type: 'json-object' } }
  return { format: { type: 'json-schema', schema: format, field: 'format' } }
}

/** As Go reads durations: `1h30m`, `-1m`, `0`. */
const duration = /^[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/

/** Whether a model is not to be kept at all. Throws `invalid` for what is no duration. */
export function isZero(keepAlive: string | number | undefined): boolean {
  if (typeof keepAlive !== 'string') return keepAlive === 0
  if (!duration.test(keepAlive)) throw wrongField('keep_alive', 'a number of seconds, or a text such as "5m"', 'another text')
  return !/[1-9]/.test(keepAlive)
}
