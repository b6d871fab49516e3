import type {
  ChatCompletionContentPart,
  ChatCompletionCreateParamsStreaming,
  ChatCompletionMessageParam,
  ChatCompletionTool,
  ChatCompletionToolChoiceOption,
} from 'openai/resources/chat/completions'
import { AppError } from '../../errors.ts'
import { isJsonObject } from '../json-object.ts'
import type { AnswerFormat, ChatMessage, GenerateRequest, Prompt, Tools } from '../provider.ts'
import { cannot, chosenSampling, refuseChosen, withoutUsual } from './chosen-sampling.ts'
import type { CloudModel } from './cloud-options.ts'

/** `openai`: OpenAI itself, which refuses what it does not know. `compatible`: what servers that imitate it take beyond. */
export type OpenaiApi = 'openai' | 'compatible'

type CompatibleParams = { top_k?: number; min_p?: number; repeat_penalty?: number; repetition_penalty?: number }

export type OpenaiParams = ChatCompletionCreateParamsStreaming & CompatibleParams

const mostStops = 4

/** Throws `invalid` for what the API cannot honour. */
export function toOpenaiParams(provider: string, api: OpenaiApi, request: GenerateRequest, model: CloudModel): OpenaiParams {
  const { prompt, format, stop, choices, logprobs } = request
  const chat = prompt.type === 'chat' ? prompt : undefined
  const isOpenai = api === 'openai'
  if (isOpenai && stop.length > mostStops) throw cannot(provider, 'stop', `at most ${mostStops} texts`, `${stop.length} texts`)
  return {
    model: request.model,
    messages: toMessages(provider, api, prompt),
    stream: true,
    stream_options: { include_usage: true },
    ...toMaxTokens(isOpenai, request.maxTokens, model.maxOutputTokens),
    ...toSampling(provider, api, request),
    ...(choices === 1 ? {} : { n: choices }),
    ...(stop.length === 0 ? {} : { stop: [...stop] }),
    ...(logprobs === undefined ? {} : { logprobs: true, top_logprobs: logprobs }),
    ...(format === undefined ? {} : { response_format: toFormat(format) }),
    ...(chat?.reasoning === undefined ? {} : { reasoning_effort: chat.reasoning }),
    ...(chat?.tools === undefined || chat.tools.tools.length === 0 ? {} : toTools(chat.tools)),
    // Said, so that the settings of an account cannot keep what was asked.
    ...(isOpenai ? { store: false } : {}),
  }
}

/** OpenAI's newer models know only the first name, and most other servers only the second. */
function toMaxTokens(isOpenai: boolean, asked: number | undefined, most: number | undefined): Partial<OpenaiParams> {
  if (asked === undefined && most === undefined) return {}
  const tokens = Math.min(asked ?? Number.POSITIVE_INFINITY, most ?? Number.POSITIVE_INFINITY)
  return isOpenai ? { max_completion_tokens: tokens } : { max_tokens: tokens }
}

function toSampling(provider: string, api: OpenaiApi, { sampling }: GenerateRequest): Partial<OpenaiParams> {
  // Other servers cut by default, each in its way: they are told all.
  const chosen = api === 'openai' ? withoutUsual(chosenSampling(sampling)) : chosenSampling(sampling)
  if (api === 'openai') refuseChosen(provider, chosen, ['topK', 'minP', 'repeatPenalty'])
  const { temperature, topP, topK, minP, repeatPenalty, frequencyPenalty, presencePenalty, logitBias, seed } = chosen
  return {
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(topK === undefined ? {} : { top_k: topK }),
    ...(minP === undefined ? {} : { min_p: minP }),
    // llama-server knows the first name, vLLM the second.
    ...(repeatPenalty === undefined ? {} : { repeat_penalty: repeatPenalty, repetition_penalty: repeatPenalty }),
    ...(frequencyPenalty === undefined ? {} : { frequency_penalty: frequencyPenalty }),
    ...(presencePenalty === undefined ? {} : { presence_penalty: presencePenalty }),
    ...(logitBias === undefined ? {} : { logit_bias: { ...logitBias } }),
    ...(seed === undefined ? {} : { seed }),
  }
}

/** A text alone is what a user says. */
function toMessages(provider: string, api: OpenaiApi, prompt: Prompt): ChatCompletionMessageParam[] {
  if (prompt.type === 'text') return [{ role: 'user', content: prompt.text }]
  const last = prompt.messages.at(-1)
  if (api === 'openai' && last?.role === 'assistant' && (last.toolCalls ?? []).length === 0) {
    throw cannot(
      provider,
      'messages',
      'ended by a message of the user or a tool (it cannot continue one of the assistant)',
      'ended by one',
    )
  }
  return prompt.messages.map((message) => toMessage(api, message))
}

type AssistantParam = Extract<ChatCompletionMessageParam, { role: 'assistant' }> & { reasoning_content?: string }

function toMessage(api: OpenaiApi, message: ChatMessage): ChatCompletionMessageParam {
  switch (message.role) {
    case 'system':
      return { role: 'system', content: message.content }
    case 'user':
      return { role: 'user', content: toContent(message.content, message.images ?? []) }
    case 'tool':
      return { role: 'tool', tool_call_id: message.toolCallId, content: message.content }
    case 'assistant': {
      const calls = message.toolCalls ?? []
      if (calls.length === 0) return { role: 'assistant', content: message.content }
      const assistant: AssistantParam = {
        role: 'assistant',
        content: message.content === '' ? null : message.content,
        tool_calls: calls.map(({ id, name, arguments: text }) => ({ id, type: 'function', function: { name, arguments: text } })),
        // Models that reason between their calls need their thoughts again; a signature is of another provider.
        ...(api === 'compatible' && message.reasoning && message.reasoningSignature === undefined
          ? { reasoning_content: message.reasoning }
          : {}),
      }
      return assistant
    }
  }
}

function toContent(text: string, images: readonly string[]): string | ChatCompletionContentPart[] {
  if (images.length === 0) return text
  const parts: ChatCompletionContentPart[] = images.map((url) => ({ type: 'image_url', image_url: { url } }))
  return text === '' ? parts : [...parts, { type: 'text', text }]
}

function toTools({ tools, choice, parallel }: Tools): Partial<OpenaiParams> {
  return {
    tools: tools.map(
      ({ name, description, parameters }): ChatCompletionTool => ({
        type: 'function',
        function: {
          name,
          ...(description === undefined ? {} : { description }),
          ...(isJsonObject(parameters) ? { parameters } : {}),
        },
      }),
    ),
    tool_choice: toChoice(choice),
    ...(parallel ? {} : { parallel_tool_calls: false }),
  }
}

function toChoice(choice: Tools['choice']): ChatCompletionToolChoiceOption {
  return typeof choice === 'string' ? choice : { type: 'function', function: { name: choice.name } }
}

function toFormat(format: AnswerFormat): NonNullable<OpenaiParams['response_format']> {
  if (format.type === 'json-object') return { type: 'json_object' }
  if (!isJsonObject(format.schema)) throw new AppError('invalid', `"${format.field}" must be a JSON schema that is an object.`)
  return { type: 'json_schema', json_schema: { name: format.name ?? 'answer', schema: format.schema, strict: true } }
}
