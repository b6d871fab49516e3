import type { PredictRequest } from '../predict/predict.ts'
import { toMessages } from './openai-chat-messages.ts'
import type { ChatBody } from './openai-chat-schema.ts'
import { toAnswerRequest } from './openai-fields.ts'
import { toFormat } from './openai-format.ts'
import { toReasoning } from './openai-reasoning.ts'
import { readChatToolChoice, toTools } from './openai-tools.ts'
import { type HarmlessValues, refuseLoneStreamOptions, refuseUnsupported, wrongField } from './refuse-fields.ts'

const harmless: HarmlessValues = {
  audio: [],
  function_call: ['none', 'auto'],
  functions: [[]],
  modalities: [['text']],
  moderation: [],
  service_tier: ['auto', 'default'],
  store: [false],
  verbosity: ['medium'],
  web_search_options: [],
}

/** The request of the wire as ours. Throws `invalid`. */
export function fromChatBody(body: ChatBody): PredictRequest {
  refuseOlderFunctions(body)
  refuseUnsupported(body, harmless)
  refuseLoneStreamOptions(body)
  const { response_format: format, tools: given = [] } = body
  const tools = toTools(
    given.map((tool) => tool.function),
    readChatToolChoice(body.tool_choice),
    { parallel: body.parallel_tool_calls, field: (place) => `tools.${place}.function.parameters` },
  )
  return {
    ...toAnswerRequest(body),
    prompt: {
      type: 'chat',
      messages: toMessages(body.messages),
      ...(tools === undefined ? {} : { tools }),
      ...toReasoning(body.reasoning_effort),
    },
    maxTokens: body.max_completion_tokens ?? body.max_tokens,
    ...toFormat(format?.type, format?.json_schema ?? {}, 'response_format.json_schema.schema'),
    ...toLogprobs(body),
    ...(body.store === false ? { remember: false } : {}),
  }
}

function toLogprobs({ logprobs = false, top_logprobs: top = 0 }: ChatBody): Pick<PredictRequest, 'logprobs'> {
  if (!logprobs && top > 0) throw wrongField('top_logprobs', 'left out unless logprobs is true', String(top))
  return logprobs ? { logprobs: top } : {}
}

function refuseOlderFunctions({ functions }: ChatBody): void {
  if (functions === undefined || (Array.isArray(functions) && functions.length === 0)) return
  throw wrongField('functions', 'left out: "tools" has taken its place', 'given')
}
