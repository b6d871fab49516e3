import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { toAppError } from '../http/error-reply.ts'
import { clientGone, formatEvent, sendEventStream } from '../http/event-stream.ts'
import { setOriginHeaders } from '../http/origin-headers.ts'
import type { OpenAnswer } from '../predict/predict.ts'
import type { AnswerOptions } from './openai-chat.ts'
import { openaiErrors } from './openai-error.ts'
import { nameItems, readConversation, toItemId } from './openai-responses-conversation.ts'
import { nameItemTypes } from './openai-responses-item-types.ts'
import type { ResponseEvent } from './openai-responses-item-writer.ts'
import { fromResponsesBody, refuseUnsupportedResponse, summaryOf, toPrompt, toResponseHead } from './openai-responses-request.ts'
import {
  type InputTokensBody,
  inputTokensAnswer,
  inputTokensBody,
  type ResponseBody,
  type ResponsesBody,
  responseBody,
  responsesBody,
} from './openai-responses-schema.ts'
import type { StoredResponses } from './openai-responses-store.ts'
import { createResponseWriter, type ResponseWriter, type WriterOptions, writeWhole } from './openai-responses-writer.ts'

export type ResponsesOptions = AnswerOptions & Readonly<{ storedResponses: StoredResponses }>

const tags = ['openai']

/** POST /v1/responses. */
export function serveResponses(http: FastifyInstance, options: ResponsesOptions): void {
  const { predict, askerOf, limit, storedResponses: stored } = options
  const schema = {
    summary: 'Answer, and remember the answer',
    tags,
    body: responsesBody,
    response: { 200: responseBody, ...openaiErrors },
  }
  const hooks = { onRequest: limit, preValidation: nameItemTypes }
  http.post<{ Body: ResponsesBody }>('/responses', { schema, ...hooks }, async (request, reply) => {
    const { body } = request
    refuseUnsupportedResponse(body)
    const owner = askerOf(request)
    const gone = clientGone(reply)
    const conversation = await readConversation({ stored, owner }, body)
    const question = fromResponsesBody(body, conversation)
    const save = async (response: ResponseBody) => {
      if (body.store !== false) await stored.save(owner, { input: nameItems(conversation.input, response.id), response })
    }
    if (body.stream === true) {
      await using opened = await predict.open(question, owner, gone)
      setOriginHeaders(reply, { id: opened.id, ...opened.target })
      const own = { predictionId: opened.id, model: opened.target.model, createdAtSeconds: secondsOf(options) }
      const writer = createResponseWriter(toWriterOptions(options, body, toResponseHead(body, question, own)))
      return await sendResponse({ opened, writer, save, gone, request, reply })
    }
    const createdAtSeconds = secondsOf(options)
    const completion = await predict.complete(question, owner, gone)
    setOriginHeaders(reply, completion)
    const own = { predictionId: completion.id, model: completion.model, createdAtSeconds }
    const response = writeWhole(completion, toWriterOptions(options, body, toResponseHead(body, question, own)))
    await save(response)
    return response
  })
}

/** POST /v1/responses/input_tokens. */
export function serveInputTokens(http: FastifyInstance, options: ResponsesOptions): void {
  const { predict, askerOf, limit, storedResponses: stored } = options
  const response = { 200: inputTokensAnswer, ...openaiErrors }
  const schema = { summary: 'Count the tokens of a prompt', tags, body: inputTokensBody, response }
  const hooks = { onRequest: limit, preValidation: nameItemTypes }
  http.post<{ Body: InputTokensBody }>('/responses/input_tokens', { schema, ...hooks }, async (request, reply) => {
    const { body } = request
    refuseUnsupportedResponse(body)
    const owner = askerOf(request)
    const prompt = toPrompt(body, await readConversation({ stored, owner }, body))
    const { tokens } = await predict.countTokens({ prompt, model: body.model, provider: body.provider }, owner, clientGone(reply))
    return { object: 'response.input_tokens' as const, input_tokens: tokens }
  })
}

const secondsOf = ({ now }: Pick<AnswerOptions, 'now'>) => Math.floor(now() / 1000)

function toWriterOptions(options: Pick<AnswerOptions, 'now'>, body: ResponsesBody, head: ResponseBody): WriterOptions {
  return {
    head,
    summarizes: summaryOf(body) !== undefined,
    itemId: (type, place) => toItemId(type, head.id, String(place)),
    nowSeconds: () => secondsOf(options),
  }
}

type Sending = Readonly<{
  opened: OpenAnswer
  writer: ResponseWriter
  save: (response: ResponseBody) => Promise<void>
  gone: AbortSignal
  request: FastifyRequest
  reply: FastifyReply
}>

async function sendResponse({ opened, writer, save, gone, request, reply }: Sending): Promise<FastifyReply> {
  await sendEventStream(reply, {
    frames: toFrames(opened, writer, save),
    gone,
    toAppError: (error) => toAppError(error, request.log),
    formatFailure: (error) => format(writer.fail(error)),
  })
  return reply
}

async function* toFrames({ events }: OpenAnswer, writer: ResponseWriter, save: Sending['save']): AsyncGenerator<string> {
  yield format(writer.begin())
  for await (const event of events) {
    const written = writer.write(event)
    // Before its end is told: who goes on from it at once must find it.
    if (event.type === 'generation-end') await save(writer.response())
    if (written.length > 0) yield format(written)
  }
}

const format = (events: readonly ResponseEvent[]) =>
  events.map((event) => formatEvent(JSON.stringify(event), event.type)).join('')
