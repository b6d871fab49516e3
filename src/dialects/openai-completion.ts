import type { FastifyInstance } from 'fastify'
import { clientGone } from '../http/event-stream.ts'
import { setOriginHeaders } from '../http/origin-headers.ts'
import type { AnswerOptions } from './openai-chat.ts'
import { toChunks } from './openai-chunks.ts'
import { createCompletionWriter, toCompletionAnswer } from './openai-completion-answer.ts'
import { completeInTurn, openInTurn } from './openai-completion-prompts.ts'
import { fromCompletionBody } from './openai-completion-request.ts'
import { type CompletionBody, completionAnswer, completionBody } from './openai-completion-schema.ts'
import { openaiErrors } from './openai-error.ts'
import { sendChunks } from './openai-send-chunks.ts'

const tags = ['openai']

/** POST /v1/completions. */
export function serveCompletions(http: FastifyInstance, { predict, askerOf, limit, now }: AnswerOptions): void {
  const schema = { summary: 'Continue a text', tags, body: completionBody, response: { 200: completionAnswer, ...openaiErrors } }
  http.post<{ Body: CompletionBody }>('/completions', { schema, onRequest: limit }, async (request, reply) => {
    const asked = fromCompletionBody(request.body)
    const gone = clientGone(reply)
    const ask = { predict, questions: asked.questions, asker: askerOf(request), gone }
    const created = Math.floor(now() / 1000)
    if (request.body.stream !== true) {
      const completion = await completeInTurn(ask)
      setOriginHeaders(reply, completion)
      return toCompletionAnswer(completion, { id: `cmpl-${completion.id}`, created, model: completion.model }, asked)
    }
    await using opened = await openInTurn(ask)
    const { id, target, events } = opened
    setOriginHeaders(reply, { id, ...target })
    const head = { id: `cmpl-${id}`, object: 'text_completion', created, model: target.model }
    const includeUsage = request.body.stream_options?.include_usage === true
    return await sendChunks(toChunks(events, head, createCompletionWriter(asked), includeUsage), gone, request, reply)
  })
}
