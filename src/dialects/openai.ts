import type { FastifyPluginAsync } from 'fastify'
import type { Embedders, Rerankers } from '../engine/embedder.ts'
import type { Metered } from '../usage/metered.ts'
import { dropNulls } from './nulls.ts'
import { serveChat } from './openai-chat.ts'
import { serveCompletions } from './openai-completion.ts'
import { serveEmbeddings } from './openai-embeddings.ts'
import { replyWithOpenaiErrors } from './openai-error.ts'
import { serveModels } from './openai-models.ts'
import { type ResponsesOptions, serveInputTokens, serveResponses } from './openai-responses.ts'
import { serveStoredResponses } from './openai-responses-stored.ts'
import { serveRerank } from './rerank.ts'

export type OpenaiRoutesOptions = ResponsesOptions &
  Readonly<{
    embedders: Embedders
    rerankers: Rerankers
    /** Counts the work of embedding models and rerankers. */
    metered: Metered
    /** The names of the models that can be asked for. */
    listModels: () => Promise<readonly string[]>
  }>

/** Where the caller's own data stands. */
const ownFields: ReadonlySet<string> = new Set(['schema', 'parameters', 'metadata', 'parsed', 'parsed_arguments'])

/** OpenAI's API under /v1, for the caller scope: it maps to predict and back, and keeps responses. */
export function openaiRoutes(options: OpenaiRoutesOptions): FastifyPluginAsync {
  return async (scope) => {
    await scope.register(
      async (http) => {
        replyWithOpenaiErrors(http)
        dropNulls(http, ownFields)
        serveModels(http, options)
        serveChat(http, options)
        serveCompletions(http, options)
        serveResponses(http, options)
        serveInputTokens(http, options)
        serveStoredResponses(http, options)
        serveEmbeddings(http, options.embedders, options.metered)
        serveRerank(http, options.rerankers, options.metered)
      },
      { prefix: '/v1' },
    )
  }
}
