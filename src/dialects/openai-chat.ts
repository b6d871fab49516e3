import type { FastifyInstance, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import { clientGone } from '../http/event-stream.ts'
import { setOriginHeaders } from '../http/origin-headers.ts'
import type { Asker, Predict } from '../predict/predict.ts'
import { createChatWriter, toChatAnswer } from './openai-chat-answer.ts'
import { fromChatBody } from './openai-chat-request.ts'
import { type ChatBody, chatAnswer, chatBody } from './openai-chat-schema.ts'
import { toChunks } from './openai-chunks.ts'
import { openaiErrors } from './openai-error.ts'
import { sendChunks } from './openai-send-chunks.ts'

export type AnswerOptions = Readonly<{
  predict: Predict
  askerOf: (request: FastifyRequest) => Asker
  /** Counts a request to the model. */
  limit: onRequestAsyncHookHandler
  /** Milliseconds since 1970. */
  now: () => number
}>

const tags = ['openai']

/** POST /v1/chat/completions. */
export function serveChat(http: FastifyInstance, { predict, askerOf, limit, now }: AnswerOptions): void {
  const schema = { summary: 'Answer a conversation', tags, body: chatBody, response: { 200: chatAnswer, ...openaiErrors } }
  http.post<{ Body: ChatBody }>('/chat/completions', { schema, onRequest: limit }, async (request, reply) => {
    const question = fromChatBody(request.body)
    const gone = clientGone(reply)
    const created = Math.floor(now() / 1000)
    const toHead = (id: string, model: string) => ({ id: `chatcmpl-${id}`, created, model, metadata: { prediction_id: id } })
    if (request.body.stream !== true) {
      const completion = await predict.complete(question, askerOf(request), gone)
      setOriginHeaders(reply, completion)
      return toChatAnswer(completion, toHead(completion.id, completion.model), question)
    }
    await using opened = await predict.open(question, askerOf(request), gone)
    const { id, target, events } = opened
    setOriginHeaders(reply, { id, ...target })
    const head = { object: 'chat.completion.chunk', ...toHead(id, target.model) }
    const includeUsage = request.body.stream_options?.include_usage === true
    return await sendChunks(toChunks(events, head, createChatWriter(), includeUsage), gone, request, reply)
  })
}
