import { isDeepStrictEqual } from 'node:util'
import type { ChatMessage } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import type { PredictRequest } from '../predict/predict.ts'
import { predictDefaults } from '../predict/schema.ts'
import {
  type ChatBody,
  type ChatRequestMessage,
  type CompletionBody,
  defaultCompletionTokens,
  type ResponseFormat,
} from './openai-schema.ts'

/** Fields that are accepted only with a value that asks for nothing. */
const harmlessValues: Readonly<Record<string, readonly unknown[]>> = {
  audio: [],
  best_of: [1],
  echo: [false],
  frequency_penalty: [0],
  function_call: ['none', 'auto'],
  functions: [[]],
  logit_bias: [{}],
  logprobs: [false],
  modalities: [['text']],
  prediction: [],
  presence_penalty: [0],
  reasoning_effort: [],
  service_tier: ['auto', 'default'],
  store: [false],
  suffix: [''],
  tool_choice: ['none', 'auto'],
  tools: [[]],
  top_logprobs: [0],
  verbosity: [],
  web_search_options: [],
}

const harmlessInMessage: Readonly<Record<string, readonly unknown[]>> = {
  annotations: [[]],
  audio: [],
  function_call: [],
  refusal: [''],
  tool_calls: [[]],
}

/** The request of the wire as ours. Throws `invalid`. */
export function fromChatBody(body: ChatBody): PredictRequest {
  refuseUnsupported(body, harmlessValues, '')
  return {
    ...fromCommonFields(body),
    prompt: { type: 'chat', messages: body.messages.map(toMessage) },
    maxTokens: body.max_completion_tokens ?? body.max_tokens,
    ...toFormat(body.response_format),
  }
}

/** The request of the wire as ours. Throws `invalid`. */
export function fromCompletionBody(body: CompletionBody): PredictRequest {
  refuseUnsupported(body, harmlessValues, '')
  const text = typeof body.prompt === 'string' ? body.prompt : body.prompt.join('')
  return {
    ...fromCommonFields(body),
    prompt: { type: 'text', text },
    maxTokens: body.max_tokens ?? defaultCompletionTokens,
  }
}

function fromCommonFields(body: Omit<ChatBody, 'messages'> | Omit<CompletionBody, 'prompt'>) {
  const { stop = [] } = body
  if (body.stream_options !== undefined && body.stream !== true)
    throw wrong('stream_options', 'left out unless stream is true', 'given')
  return {
    choices: body.n ?? predictDefaults.choices,
    // The same as /predict's where nothing is said: with OpenAI's own (temperature 1, no cut) small models ramble.
    sampling: {
      temperature: body.temperature ?? predictDefaults.temperature,
      topP: body.top_p ?? predictDefaults.topP,
      topK: body.top_k ?? predictDefaults.topK,
      minP: body.min_p ?? predictDefaults.minP,
      repeatPenalty: body.repeat_penalty ?? predictDefaults.repeatPenalty,
      seed: body.seed,
    },
    stop: typeof stop === 'string' ? [stop] : stop,
    model: body.model,
    provider: undefined,
  }
}

function wrong(field: string, expected: string, got: string): AppError {
  return new AppError('invalid', `"${field}" must be ${expected}, but is ${got}.`, { details: [{ field, expected, got }] })
}

function refuseUnsupported(body: object, harmless: Readonly<Record<string, readonly unknown[]>>, place: string): void {
  for (const [name, value] of Object.entries(body)) {
    const allowed = Object.hasOwn(harmless, name) ? harmless[name] : undefined
    if (allowed === undefined || allowed.some((one) => isDeepStrictEqual(one, value))) continue
    const expected = allowed.length === 0 ? 'left out' : `left out or ${allowed.map((one) => JSON.stringify(one)).join(' or ')}`
    throw new AppError('invalid', `"${place}${name}" is not supported yet: it must be ${expected}.`, {
      details: [{ field: `${place}${name}`, expected, got: 'another value' }],
    })
  }
}

function toMessage(message: ChatRequestMessage, index: number): ChatMessage {
  refuseUnsupported(message, harmlessInMessage, `messages.${index}.`)
  const role = message.role === 'developer' ? 'system' : message.role
  return { role, content: toText(message.content, `messages.${index}.content`) }
}

function toText(content: ChatRequestMessage['content'], field: string): string {
  if (typeof content === 'string') return content
  const texts = content.map(({ type, text }, place) => {
    if (type !== 'text')
      throw wrong(
        `${field}.${place}.type`,
        '"text" (images, sound and files are not supported yet)',
        JSON.stringify(type.slice(0, 50)),
      )
    return text ?? missing(`${field}.${place}.text`)
  })
  return texts.join('\n')
}

function missing(field: string): never {
  throw wrong(field, 'given', 'missing')
}

const schemaField = 'response_format.json_schema.schema'

function toFormat(format: ResponseFormat | undefined): Pick<PredictRequest, 'format'> {
  switch (format?.type) {
    case undefined:
    case 'text':
      return {}
    case 'json_object':
      return { format: { type: 'json-object' } }
    case 'json_schema': {
      const { schema, name } = format.json_schema ?? {}
      if (schema === undefined) return missing(schemaField)
      return { format: { type: 'json-schema', schema, field: schemaField, ...(name === undefined ? {} : { name }) } }
    }
  }
}
