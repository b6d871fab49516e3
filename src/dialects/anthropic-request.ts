import type { AnswerFormat, ChatPrompt, ReasoningEffort, Tool, Tools } from '../engine/provider.ts'
import { resolveSampling } from '../engine/sampling.ts'
import type { PredictRequest, PromptRequest } from '../predict/predict.ts'
import { predictDefaults } from '../predict/schema.ts'
import { referencedTools, toChatMessages } from './anthropic-messages.ts'
import type { CountTokensBody, MessagesBody, ToolParam } from './anthropic-schema.ts'
import { type HarmlessValues, refuseUnsupported, wrongField } from './refuse-fields.ts'

/** Fields that are accepted only with a value that asks for nothing. */
const harmlessValues: HarmlessValues = {
  billing_policy: [],
  compaction: [],
  container: [],
  // To keep all thinking is what happens anyway; coding assistants ask for it.
  context_management: [{}, { edits: [] }, { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] }],
  fallback_credit_token: [],
  fallbacks: [[]],
  inference_geo: ['global'],
  mcp_servers: [[]],
  speed: ['standard'],
  thread: [],
}

/** The request of the wire as ours. Throws `invalid`. */
export function fromMessagesBody(body: MessagesBody): PredictRequest {
  return {
    ...fromCountTokensBody(body),
    maxTokens: body.max_tokens,
    choices: 1,
    // The same as /predict's where nothing is said: with Anthropic's own (temperature 1, no cut) small models ramble.
    sampling: {
      ...resolveSampling({ temperature: body.temperature, topP: body.top_p, topK: body.top_k }, predictDefaults),
      seed: undefined,
    },
    stop: body.stop_sequences ?? [],
    ...toFormat(body),
  }
}

/** What of a request is the prompt. Throws `invalid`. */
export function fromCountTokensBody(body: CountTokensBody): PromptRequest {
  refuseUnsupported(body, harmlessValues)
  const tools = toTools(body)
  const reasoning = toReasoning(body)
  const prompt: ChatPrompt = {
    type: 'chat',
    messages: toChatMessages(body.system, body.messages),
    ...(tools === undefined ? {} : { tools }),
    ...(reasoning === undefined ? {} : { reasoning }),
  }
  return { prompt, model: body.model, provider: undefined }
}

function toTools({ tools: given = [], tool_choice: choice, messages }: CountTokensBody): Tools | undefined {
  const referenced = referencedTools(messages)
  const tools = given
    .map((tool, place) => ({ ...tool, place }))
    .filter(({ name, defer_loading: isDeferred = false }) => !isDeferred || referenced.has(name))
    .map(toTool)
  const names = tools.map(({ name }) => name)
  const twice = names.findIndex((name, index) => names.indexOf(name) !== index)
  if (twice >= 0) throw wrongField(`tools.${twice}.name`, 'another than those before it', 'one of them')
  if (choice?.type === 'tool' && (choice.name === undefined || !names.includes(choice.name)))
    throw wrongField('tool_choice.name', 'the name of one of the tools', choice.name === undefined ? 'missing' : 'another')
  if (choice?.type !== 'tool' && choice?.name !== undefined)
    throw wrongField('tool_choice.name', 'left out unless the type is "tool"', 'given')
  if (choice?.type === 'any' && tools.length === 0) throw wrongField('tools', 'given where tool_choice is "any"', 'missing')
  if (tools.length === 0) return undefined
  return { tools, choice: toChoice(choice), parallel: choice?.disable_parallel_tool_use !== true }
}

function toChoice(choice: CountTokensBody['tool_choice']): Tools['choice'] {
  switch (choice?.type) {
    case undefined:
    case 'auto':
      return 'auto'
    case 'any':
      return 'required'
    case 'none':
      return 'none'
    case 'tool':
      return { name: choice.name ?? '' }
  }
}

function toTool(tool: ToolParam & Readonly<{ place: number }>): Tool {
  const { name, description = '', input_schema: parameters, input_examples: examples = [], place } = tool
  const shown = examples.length === 0 ? [] : [`Examples of its input:\n${examples.map((one) => JSON.stringify(one)).join('\n')}`]
  const text = [description, ...shown].filter((part) => part !== '').join('\n\n')
  return { name, parameters, field: `tools.${place}.input_schema`, ...(text === '' ? {} : { description: text }) }
}

/** Budgets up to which thinking is low and medium: between those that coding assistants send (4,000, 10,000, 31,999). */
const lowBudget = 4096
const mediumBudget = 16_384

function toReasoning({ thinking, output_config: config }: CountTokensBody): ReasoningEffort | undefined {
  const budget = thinking?.budget_tokens
  if (budget !== undefined && thinking?.type !== 'enabled')
    throw wrongField('thinking.budget_tokens', 'left out unless the type is "enabled"', 'given')
  switch (thinking?.type) {
    case 'disabled':
      return 'none'
    case 'enabled':
      if (budget === undefined) throw wrongField('thinking.budget_tokens', 'given', 'missing')
      if (budget <= lowBudget) return 'low'
      return budget <= mediumBudget ? 'medium' : 'high'
    case 'adaptive':
    case undefined:
      return config?.effort === 'xhigh' || config?.effort === 'max' ? 'high' : config?.effort
  }
}

function toFormat({ output_config: config, output_format: older }: MessagesBody): Readonly<{ format?: AnswerFormat }> {
  if (config?.format !== undefined && older !== undefined)
    throw wrongField('output_format', 'left out where output_config.format is given', 'given')
  if (config?.format !== undefined)
    return { format: { type: 'json-schema', schema: config.format.schema, field: 'output_config.format.schema' } }
  return older === undefined ? {} : { format: { type: 'json-schema', schema: older.schema, field: 'output_format.schema' } }
}
