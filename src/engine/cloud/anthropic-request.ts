import type {
  MessageCountTokensParams,
  MessageCreateParamsStreaming,
  OutputConfig,
  ThinkingConfigParam,
  Tool,
  ToolChoice,
} from '@anthropic-ai/sdk/resources/messages'
import { AppError } from '../../errors.ts'
import { isJsonObject } from '../json-object.ts'
import type { AnswerFormat, GenerateRequest, Prompt, ReasoningEffort, Tools } from '../provider.ts'
import { type AnthropicConversation, toConversation } from './anthropic-messages.ts'
import { cannot, chosenSampling, refuseChosen, withoutUsual } from './chosen-sampling.ts'
import type { CloudModel } from './cloud-options.ts'

/** A tool that the model must call: its input is the answer. */
export const answerTool = 'json_answer'

/** The version that the client library speaks, and the last one that takes sampling parameters. */
const currentVersion = '2026-10-21'
export const samplingVersion = '2023-06-01'

type SamplingParams = { temperature?: number; top_p?: number; top_k?: number }

export type AnthropicRequest = Readonly<{
  params: MessageCreateParamsStreaming & SamplingParams
  version: string
  /** Texts that end the answer, but which the API takes for none: they are looked for here. */
  ownStops: readonly string[]
}>

const usualMaxTokens = 4096

/** Throws `invalid` for what the API cannot honour. */
export function toAnthropicRequest(provider: string, request: GenerateRequest, model: CloudModel): AnthropicRequest {
  const { prompt, format, stop } = request
  const reasoning = prompt.type === 'chat' ? prompt.reasoning : undefined
  const tools = prompt.type === 'chat' ? prompt.tools : undefined
  if (request.choices > 1) throw cannot(provider, 'n', '1', String(request.choices))
  if (request.logprobs !== undefined) throw cannot(provider, 'logprobs', 'left out', String(request.logprobs))
  const usualTokens = usualMaxTokens + (reasoning === undefined || reasoning === 'none' ? 0 : budgets[reasoning])
  const maxTokens = Math.min(
    request.maxTokens ?? model.maxOutputTokens ?? usualTokens,
    model.maxOutputTokens ?? Number.POSITIVE_INFINITY,
  )
  const sampling = toSampling(provider, request, reasoning)
  const sent = stop.filter((text) => text.trim() !== '')
  const params: AnthropicRequest['params'] = {
    ...toCountParams(provider, request),
    max_tokens: maxTokens,
    stream: true,
    ...(sent.length === 0 ? {} : { stop_sequences: sent }),
    ...(format?.type === 'json-object' ? forcedAnswer(provider, tools, reasoning) : {}),
    ...toThinking(model.name, reasoning, maxTokens),
    ...sampling,
  }
  const output: OutputConfig = { ...toEffort(model.name, reasoning), ...toFormat(format) }
  return {
    params: Object.keys(output).length === 0 ? params : { ...params, output_config: output },
    version: Object.keys(sampling).length === 0 ? currentVersion : samplingVersion,
    ownStops: stop.filter((text) => text.trim() === ''),
  }
}

/** What is counted as the prompt. */
export function toCountParams(
  provider: string,
  { model, prompt }: Readonly<{ model: string; prompt: Prompt }>,
): MessageCountTokensParams {
  const conversation: AnthropicConversation = toConversation(prompt)
  const tools = prompt.type === 'chat' ? prompt.tools : undefined
  return {
    model,
    messages: conversation.messages,
    ...(conversation.system.length === 0 ? {} : { system: conversation.system }),
    ...(tools === undefined || tools.tools.length === 0 ? {} : toTools(provider, tools)),
  }
}

export const versionOfCount = currentVersion

function toSampling(provider: string, { sampling }: GenerateRequest, reasoning: ReasoningEffort | undefined): SamplingParams {
  const chosen = withoutUsual(chosenSampling(sampling))
  refuseChosen(provider, chosen, ['minP', 'repeatPenalty', 'frequencyPenalty', 'presencePenalty', 'logitBias', 'seed'])
  const { temperature, topP, topK } = chosen
  if (temperature !== undefined && temperature > 1)
    throw cannot(provider, 'temperature', 'a number from 0 to 1', String(temperature))
  // A model that thinks samples as it was trained to.
  if (reasoning !== undefined && reasoning !== 'none') refuseChosen(provider, chosen, ['temperature', 'topP', 'topK'])
  return {
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(topK === undefined ? {} : { top_k: topK }),
  }
}

function toTools(provider: string, { tools, choice, parallel }: Tools): { tools: Tool[]; tool_choice: ToolChoice } {
  return {
    tools: tools.map(({ name, description, parameters }) => ({
      name,
      ...(description === undefined ? {} : { description }),
      input_schema: toInputSchema(provider, name, parameters),
    })),
    tool_choice: toChoice(choice, !parallel),
  }
}

function toInputSchema(provider: string, name: string, schema: unknown): Tool.InputSchema {
  const isObject = isJsonObject(schema) && (schema.type === undefined || schema.type === 'object')
  if (isObject) return { ...schema, type: 'object' }
  throw cannot(provider, 'tools', 'described by JSON schemas of objects', `something else for "${name.slice(0, 100)}"`)
}

function toChoice(choice: Tools['choice'], alone: boolean): ToolChoice {
  if (choice === 'none') return { type: 'none' }
  if (choice === 'auto') return { type: 'auto', disable_parallel_tool_use: alone }
  if (choice === 'required') return { type: 'any', disable_parallel_tool_use: alone }
  return { type: 'tool', name: choice.name, disable_parallel_tool_use: alone }
}

function toFormat(format: AnswerFormat | undefined): OutputConfig {
  if (format?.type !== 'json-schema') return {}
  if (isJsonObject(format.schema)) return { format: { type: 'json_schema', schema: format.schema } }
  throw new AppError('invalid', `"${format.field}" must be a JSON schema that is an object.`)
}

/** The API knows no JSON without a schema; the input of a tool is such a JSON object. */
function forcedAnswer(
  provider: string,
  tools: Tools | undefined,
  reasoning: ReasoningEffort | undefined,
): { tools: Tool[]; tool_choice: ToolChoice } {
  const expected = 'a JSON schema where there are tools or reasoning'
  if (tools !== undefined && tools.tools.length > 0)
    throw cannot(provider, 'response_format', expected, 'JSON of any kind, beside tools')
  if (reasoning !== undefined && reasoning !== 'none')
    throw cannot(provider, 'response_format', expected, 'JSON of any kind, with reasoning')
  const description = 'Takes the answer to the user. Its input is the JSON object that the user asked for.'
  return {
    tools: [{ name: answerTool, description, input_schema: { type: 'object' } }],
    tool_choice: { type: 'tool', name: answerTool, disable_parallel_tool_use: true },
  }
}

const budgets = { low: 1024, medium: 4096, high: 16_384 } as const

function toThinking(model: string, effort: ReasoningEffort | undefined, maxTokens: number): { thinking?: ThinkingConfigParam } {
  if (effort === undefined) return {}
  if (effort === 'none') return { thinking: { type: 'disabled' } }
  if (!takesBudget(model)) return { thinking: { type: 'adaptive', display: 'summarized' } }
  if (maxTokens <= budgets.low) {
    const expected = `above ${budgets.low}: thinking takes at least so many tokens`
    throw new AppError('invalid', `"max_tokens" must be ${expected}, but is ${maxTokens}.`, {
      details: [{ field: 'max_tokens', expected, got: String(maxTokens) }],
    })
  }
  // The budget is part of the limit: half of it is left for the answer, where that is possible.
  const most = Math.max(budgets.low, Math.floor(maxTokens / 2))
  return { thinking: { type: 'enabled', budget_tokens: Math.min(budgets[effort], most) } }
}

function toEffort(model: string, effort: ReasoningEffort | undefined): OutputConfig {
  return effort === undefined || effort === 'none' || takesBudget(model) ? {} : { effort }
}

/** Models before 4.6 think within a budget of tokens; later ones refuse it and know efforts. */
function takesBudget(model: string): boolean {
  const [, major, minor = '0'] = /^claude-(?:[a-z]+-)*(\d{1,2})(?:-(\d{1,2}))?(?!\d)/.exec(model) ?? []
  return major !== undefined && (Number(major) < 4 || (Number(major) === 4 && Number(minor) < 6))
}
