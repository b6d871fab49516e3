import { join } from 'node:path'
import type { FastifyBaseLogger, FastifyPluginAsync, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import type { Closer } from './closer.ts'
import type { Config } from './config.ts'
import { createAnswering } from './conversations/answering.ts'
import { createConversations } from './conversations/conversations.ts'
import { createExports } from './conversations/export.ts'
import { importConversations } from './conversations/import.ts'
import { listConversations } from './conversations/list.ts'
import { messageRoutes } from './conversations/message-routes.ts'
import { createMessages } from './conversations/messages.ts'
import { createOwners } from './conversations/owner.ts'
import { presetRoutes } from './conversations/preset-routes.ts'
import { createPresets } from './conversations/presets.ts'
import { openSweep } from './conversations/retention.ts'
import { conversationRoutes } from './conversations/routes.ts'
import { transferRoutes } from './conversations/transfer-routes.ts'
import type { DocumentsRequest, AnswerEvent as WrittenEvent } from './conversations/write-answer.ts'
import type { Collections } from './embed/collection.ts'
import { type Clock, waitOn } from './engine/cloud/clock.ts'
import type { ModelHost } from './engine/provider.ts'
import { resolveSampling } from './engine/sampling.ts'
import { AppError } from './errors.ts'
import type { Lifecycle } from './http/lifecycle.ts'
import type { Instances } from './instances/instances.ts'
import type { Asker, Predict, Target } from './predict/predict.ts'
import { predictDefaults } from './predict/schema.ts'
import type { Answer, AnswerRequest } from './rag/answer.ts'
import { queryDefaults } from './rag/query-schema.ts'
import type { Source } from './rag/retrieve.ts'
import { openTempFiles } from './rag/temp-files.ts'
import type { Database } from './storage/tables.ts'

const hourMs = 60 * 60 * 1000

export type ConversationsPartParts = Readonly<{
  db: Database
  instances: Instances
  log: FastifyBaseLogger
  host: Pick<ModelHost, 'name' | 'list'>
  predict: Predict
  /** Answers from documents. */
  answer: Answer
  collections: Pick<Collections, 'find'>
  askerOf: (request: FastifyRequest) => Asker
  /** Counts a request to the model. */
  limit: onRequestAsyncHookHandler
  lifecycle: Lifecycle
  now: () => number
  /** As of `openSettledTime`. */
  settledNow: () => number
  clock: Clock
}>

export type ConversationsPart = Readonly<{ caller: readonly FastifyPluginAsync[] }>

/** Conversations that live on the service, and the answers that are written in them. A part of the composition root. */
export async function openConversations(
  config: Config,
  parts: ConversationsPartParts,
  closer: Closer,
): Promise<ConversationsPart> {
  const { db, instances, log, now, predict, askerOf, limit } = parts
  const owners = createOwners({ production: config.environment === 'production' })
  const conversations = createConversations({ db, now })
  const messages = createMessages({ db, instanceId: instances.id, now })
  await instances.recover(async () => {
    const interrupted = await messages.interruptOrphans()
    if (interrupted > 0) log.info({ interrupted }, 'Answers were being written when the service ended')
  })
  closer.use(openSweep({ db, log, now: parts.settledNow, waitAnHour: (signal) => waitOn(parts.clock, hourMs, signal) }))
  const tempFiles = closer.use(await openTempFiles(join(config.dataDir, 'conversation-uploads')))
  const answering = closer.use(
    createAnswering({
      ...{ db, messages, log, predict, admission: parts.lifecycle, hint: instances.hint },
      askDocuments: (request, asker, signal) => askDocuments(parts, request, asker, signal),
      waitingFor: (target) => waitingFor(parts, target),
      isEnding: parts.lifecycle.isDraining,
    }),
  )
  instances.onLook(answering.look, 'Answers that are to stop could not be looked for')
  return {
    // Closed to API keys, as the answers that are remembered are: a key that may ask does not read what its user has said.
    caller: [
      conversationRoutes({
        ...{ owners, conversations, answering },
        list: (owner, options) => listConversations(db, owner, options),
      }),
      messageRoutes({ owners, messages, answering, askerOf, limit }),
      transferRoutes({
        ...{ owners, tempFiles, maxBytes: config.maxDocumentBytes, exports: createExports(db) },
        importFrom: (owner, chunks, signal) => importConversations({ db, now }, owner, chunks, signal),
      }),
      presetRoutes({ owners, presets: createPresets({ db, now }) }),
    ],
  }
}

/** A model that is in memory has others to answer first, or answers at once. */
async function waitingFor(
  { host }: Pick<ConversationsPartParts, 'host'>,
  { provider, model }: Pick<Target, 'provider' | 'model'>,
): Promise<'queue' | 'model'> {
  if (provider !== host.name) return 'queue'
  const hosted = (await host.list()).find(({ name }) => name === model)
  return hosted === undefined || hosted.state === 'ready' ? 'queue' : 'model'
}

type Documents = Pick<ConversationsPartParts, 'answer' | 'collections'>

/** The events of an answer from documents, in the words of conversations. */
async function* askDocuments(
  { answer, collections }: Documents,
  request: DocumentsRequest,
  asker: Asker,
  signal: AbortSignal,
): AsyncGenerator<WrittenEvent> {
  const { owner, collection: name } = request
  const collection = await collections.find(owner.column === 'ownerId' ? owner.value : null, name)
  if (collection === undefined)
    throw new AppError('not_found', `There is no collection "${name.slice(0, 100)}". Choose another one, or none.`)
  for await (const event of answer(toAnswerRequest(request, collection), asker, signal))
    switch (event.type) {
      case 'sources-found':
        yield { type: 'sources', sources: event.sources.map(toSource) }
        break
      case 'text-delta':
        yield { type: 'text', text: event.text }
        break
      case 'answer-end': {
        const { reason, predictionId, target, usage, timings, sentences } = event
        const unsupported = sentences
          .filter(({ supported }) => supported === false)
          .map(({ offset, text }) => ({ offset, length: text.length }))
        yield { type: 'end', reason, predictionId, target, usage, timings, unsupported }
      }
    }
}

function toAnswerRequest(
  { question, history, sampled, settings }: DocumentsRequest,
  collection: AnswerRequest['collection'],
): AnswerRequest {
  const { model, provider, seed, max_length: maxTokens = queryDefaults.maxTokens } = settings
  return {
    ...{ collection, question, history, maxTokens, model, provider },
    mode: 'hybrid',
    k: queryDefaults.k,
    filter: undefined,
    reranker: undefined,
    threshold: queryDefaults.threshold,
    wantsAnswer: true,
    sampling: { ...resolveSampling(sampled, { ...predictDefaults, temperature: queryDefaults.temperature }), seed },
    stop: [],
    remember: true,
  }
}

function toSource({ number, documentId, itemId, name, origin, place, text, score }: Source) {
  return {
    number,
    document_id: documentId ?? null,
    id: itemId,
    document: name,
    source: origin,
    page: place.page ?? null,
    last_page: place.lastPage ?? null,
    section: place.section ?? null,
    text,
    score,
  }
}
