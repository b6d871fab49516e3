import type { ChatMessage, GenerateRequest, Prompt, Usage } from '../engine/provider.ts'
import { isGiven } from '../engine/sampling.ts'
import type { Attributes } from './tracing.ts'

// Names and values are those of OpenTelemetry's semantic conventions for generative AI.

/** Of providers that have a well-known name; others, and this service itself, go by their own. */
const wellKnown: Readonly<Record<string, string>> = { claude: 'anthropic', openai: 'openai', hf: 'simpleia' }

export const operationOf = ({ type }: Prompt) => (type === 'chat' ? 'chat' : 'text_completion')

export function requestAttributes(provider: string, request: GenerateRequest): Attributes {
  const { prompt, model, sampling, maxTokens, choices, format } = request
  const chosen = (name: 'temperature' | 'topP' | 'topK') => (isGiven(sampling, name) ? sampling[name] : undefined)
  return {
    'gen_ai.operation.name': operationOf(prompt),
    'gen_ai.provider.name': wellKnown[provider] ?? provider,
    'gen_ai.request.model': model,
    'gen_ai.request.max_tokens': maxTokens,
    'gen_ai.request.temperature': chosen('temperature'),
    'gen_ai.request.top_p': chosen('topP'),
    'gen_ai.request.top_k': chosen('topK'),
    'gen_ai.request.frequency_penalty': sampling.frequencyPenalty,
    'gen_ai.request.presence_penalty': sampling.presencePenalty,
    'gen_ai.request.seed': sampling.seed,
    'gen_ai.request.choice.count': choices === 1 ? undefined : choices,
    'gen_ai.output.type': format === undefined ? 'text' : 'json',
  }
}

export function usageAttributes(usage: Usage): Attributes {
  return {
    'gen_ai.usage.input_tokens': usage.promptTokens,
    'gen_ai.usage.output_tokens': usage.completionTokens,
    'gen_ai.usage.cache_read.input_tokens': usage.cachedPromptTokens,
    'gen_ai.usage.reasoning.output_tokens': usage.reasoningTokens,
  }
}

/** What was asked, where it is to be told. */
export function inputAttributes(prompt: Prompt): Attributes {
  if (prompt.type === 'text') return { 'gen_ai.input.messages': messages([{ role: 'user', content: prompt.text }]) }
  const system = prompt.messages.filter(({ role }) => role === 'system').map(({ content }) => ({ type: 'text', content }))
  return {
    'gen_ai.input.messages': messages(prompt.messages.filter(({ role }) => role !== 'system')),
    'gen_ai.system_instructions': system.length === 0 ? undefined : JSON.stringify(system),
  }
}

export function outputAttributes(choices: readonly Readonly<{ text: string; reason: string | undefined }>[]): Attributes {
  const answers = choices.map(({ text, reason }) => ({
    role: 'assistant',
    parts: [{ type: 'text', content: text }],
    ...(reason === undefined ? {} : { finish_reason: reasonName(reason) }),
  }))
  return { 'gen_ai.output.messages': JSON.stringify(answers) }
}

/** As the conventions write them. */
export const reasonName = (reason: string) => reason.replaceAll('-', '_').replace('tool_calls', 'tool_call')

function messages(given: readonly ChatMessage[]): string {
  return JSON.stringify(given.map((message) => ({ role: message.role, parts: partsOf(message) })))
}

function partsOf(message: ChatMessage): readonly object[] {
  if (message.role === 'tool') return [{ type: 'tool_call_response', id: message.toolCallId, result: message.content }]
  const calls = message.role === 'assistant' ? (message.toolCalls ?? []) : []
  return [
    ...(message.content === '' ? [] : [{ type: 'text', content: message.content }]),
    ...calls.map(({ id, name, arguments: given }) => ({ type: 'tool_call', id, name, arguments: given })),
  ]
}
