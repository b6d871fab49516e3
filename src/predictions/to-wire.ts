import type { ChatMessage, Prompt, Timings } from '../engine/provider.ts'
import type { Prediction, PredictionSummary, StoredParameters } from './prediction.ts'
import type { ForeignPredictionItem, PredictionBody, PredictionItem } from './schema.ts'

/** Whose it is: `user:ID`, or the key of someone without an account. */
export const ownerName = ({ ownerId, ownerKey }: Pick<Prediction, 'ownerId' | 'ownerKey'>): string =>
  ownerId === null ? (ownerKey ?? '') : `user:${ownerId}`

type Named = Pick<PredictionSummary, 'id' | 'createdAt' | 'provider' | 'model' | 'ranOn' | 'rolloutId' | 'rating'>

const toFacts = ({ id, createdAt, provider, model, ranOn, rolloutId, rating }: Named) => ({
  id,
  created_at: createdAt,
  provider,
  model,
  ran_on: ranOn,
  rollout_id: rolloutId,
  rating,
})

export function toPredictionItem(summary: PredictionSummary): PredictionItem {
  return { ...toFacts(summary), question: summary.excerpt, answer: summary.answer }
}

export function toForeignItem(summary: PredictionSummary): ForeignPredictionItem {
  return { ...toFacts(summary), user: ownerName(summary) }
}

export function toPredictionBody(prediction: Prediction): PredictionBody {
  const { promptTokens, completionTokens, timings } = prediction
  const isCounted = promptTokens !== null && completionTokens !== null
  return {
    ...toFacts(prediction),
    prompt: toPromptBody(prediction.prompt),
    choices: prediction.choices.map(({ index, text, reason, reasoning, toolCalls }) => ({
      index,
      text,
      finish_reason: reason,
      ...(reasoning === undefined ? {} : { reasoning }),
      ...(toolCalls === undefined ? {} : { tool_calls: [...toolCalls] }),
    })),
    parameters: toParametersBody(prediction.parameters),
    usage: isCounted ? { prompt_tokens: promptTokens, completion_tokens: completionTokens } : null,
    timings: timings === null ? null : toTimingsBody(timings),
    user: ownerName(prediction),
  }
}

export function toPromptBody(prompt: Prompt): PredictionBody['prompt'] {
  if (prompt.type === 'text') return { type: 'text', text: prompt.text }
  const { messages, tools, reasoning } = prompt
  return {
    type: 'chat',
    messages: messages.map(toMessageBody),
    ...(tools === undefined
      ? {}
      : { tools: tools.tools.map(({ name, description, parameters }) => ({ name, description, parameters })) }),
    ...(tools === undefined ? {} : { tool_choice: tools.choice, parallel_tool_calls: tools.parallel }),
    ...(reasoning === undefined ? {} : { reasoning_effort: reasoning }),
  }
}

function toMessageBody(message: ChatMessage) {
  const { role, content } = message
  switch (message.role) {
    case 'system':
      return { role, content }
    case 'user':
      return { role, content, ...(message.images === undefined ? {} : { images: message.images }) }
    case 'assistant':
      return {
        role,
        content,
        ...(message.reasoning === undefined ? {} : { reasoning: message.reasoning }),
        ...(message.toolCalls === undefined ? {} : { tool_calls: message.toolCalls }),
      }
    case 'tool':
      return { role, content, tool_call_id: message.toolCallId }
  }
}

function toParametersBody({ maxTokens, choices, sampling, stop, format, logprobs, question }: StoredParameters) {
  return {
    max_tokens: maxTokens ?? null,
    choices,
    temperature: sampling.temperature,
    top_p: sampling.topP,
    top_k: sampling.topK,
    min_p: sampling.minP,
    repeat_penalty: sampling.repeatPenalty,
    ...(sampling.frequencyPenalty === undefined ? {} : { frequency_penalty: sampling.frequencyPenalty }),
    ...(sampling.presencePenalty === undefined ? {} : { presence_penalty: sampling.presencePenalty }),
    ...(sampling.logitBias === undefined ? {} : { logit_bias: sampling.logitBias }),
    ...(sampling.seed === undefined ? {} : { seed: sampling.seed }),
    stop,
    ...(format === undefined ? {} : { format: format.type }),
    ...(format?.schema === undefined ? {} : { json_schema: format.schema }),
    ...(logprobs === undefined ? {} : { logprobs }),
    ...(question === undefined ? {} : { question }),
  }
}

const toTimingsBody = ({ queueMs, promptMs, firstTokenMs, generationMs, tokensPerSecond }: Timings) => ({
  queue_ms: queueMs,
  prompt_ms: promptMs,
  first_token_ms: firstTokenMs,
  generation_ms: generationMs,
  tokens_per_second: tokensPerSecond,
})
