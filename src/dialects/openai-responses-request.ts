import type { ChatPrompt } from '../engine/provider.ts'
import type { PredictRequest } from '../predict/predict.ts'
import { toAnswerRequest } from './openai-fields.ts'
import { toFormat } from './openai-format.ts'
import { toReasoning } from './openai-reasoning.ts'
import type { ResolvedItem } from './openai-responses-items.ts'
import { toMessages } from './openai-responses-messages.ts'
import type { InputTokensBody, ResponseBody, ResponsesBody } from './openai-responses-schema.ts'
import { readFlatToolChoice, toTools } from './openai-tools.ts'
import { type HarmlessValues, refuseLoneStreamOptions, refuseUnsupported, wrongField } from './refuse-fields.ts'

const harmless: HarmlessValues = {
  background: [false],
  background_options: [],
  context_management: [[]],
  conversation: [],
  moderation: [],
  prompt: [],
  service_tier: ['auto', 'default'],
  truncation: ['disabled'],
}

/** What is talked about: the items of earlier responses, and those of the request, with references followed. */
export type Conversation = Readonly<{ earlier: readonly ResolvedItem[]; input: readonly ResolvedItem[] }>

/** Throws `invalid` for what is not supported, before anything is looked up. */
export function refuseUnsupportedResponse(body: InputTokensBody & Pick<ResponsesBody, 'stream' | 'stream_options'>): void {
  refuseUnsupported(body, harmless)
  refuseUnsupported(body.text ?? {}, { verbosity: ['medium'] }, 'text.')
  refuseLoneStreamOptions(body)
}

/** The request of the wire as ours. Throws `invalid`. */
export function fromResponsesBody(body: ResponsesBody, conversation: Conversation): PredictRequest {
  const { text, include = [], top_logprobs: top = 0 } = body
  return {
    ...toAnswerRequest(body),
    prompt: toPrompt(body, conversation),
    maxTokens: body.max_output_tokens,
    ...toFormat(text?.format?.type, text?.format ?? {}, 'text.format.schema'),
    ...(include.includes('message.output_text.logprobs') || top > 0 ? { logprobs: top } : {}),
    ...(body.store === false ? { remember: false } : {}),
  }
}

/** What the model is to read. Throws `invalid`. */
export function toPrompt(body: InputTokensBody, { earlier, input }: Conversation): ChatPrompt {
  const { instructions, tools: given = [] } = body
  const tools = toTools(given, readFlatToolChoice(body.tool_choice), {
    parallel: body.parallel_tool_calls,
    field: (place) => `tools.${place}.parameters`,
  })
  const messages = toMessages(earlier, input)
  if (messages.length === 0) throw wrongField('input', 'a list with a message', 'one without')
  return {
    type: 'chat',
    // Those of earlier responses count no more: each request brings its own.
    messages: instructions === undefined ? messages : [{ role: 'system', content: instructions }, ...messages],
    ...(tools === undefined ? {} : { tools }),
    ...toReasoning(body.reasoning?.effort),
  }
}

/** What a response repeats of its request. */
export function toResponseHead(
  body: ResponsesBody,
  { sampling }: PredictRequest,
  own: Readonly<{ predictionId: string; model: string; createdAtSeconds: number }>,
): ResponseBody {
  return {
    id: `resp_${own.predictionId}`,
    object: 'response',
    created_at: own.createdAtSeconds,
    completed_at: null,
    status: 'in_progress',
    background: false,
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    metadata: { prediction_id: own.predictionId, ...body.metadata },
    model: own.model,
    output: [],
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: summaryOf(body) ?? null },
    service_tier: 'default',
    store: body.store ?? true,
    temperature: sampling.temperature,
    text: { format: body.text?.format ?? { type: 'text' } },
    tool_choice: body.tool_choice ?? 'auto',
    tools: (body.tools ?? []).map((tool) => ({ ...tool, parameters: tool.parameters ?? null, strict: tool.strict ?? null })),
    top_logprobs: body.top_logprobs ?? 0,
    top_p: sampling.topP,
    truncation: 'disabled',
    usage: null,
    ...(body.user === undefined ? {} : { user: body.user }),
    ...(body.safety_identifier === undefined ? {} : { safety_identifier: body.safety_identifier }),
    ...(body.prompt_cache_key === undefined ? {} : { prompt_cache_key: body.prompt_cache_key }),
  }
}

/** In which form the reasoning is to be told: as a summary, or (undefined) as it is. */
export const summaryOf = ({ reasoning }: ResponsesBody) => reasoning?.summary ?? reasoning?.generate_summary
