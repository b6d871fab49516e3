import type { AuthState, KeyInList, KeyOfUser, NewKeyBody } from './auth/schema.ts'
import { adminClient } from './client/admin.ts'
import { conversationClient } from './client/conversations.ts'
import { datasetCalls } from './client/datasets.ts'
import { evaluationClient } from './client/evaluations.ts'
import { mergeClient } from './client/merge.ts'
import { type FeedbackFilter, predictionCalls } from './client/predictions.ts'
import { rolloutClient } from './client/rollout.ts'
import { trainingClient } from './client/training.ts'
import { bodyOf, brokenOff, createTransport, fromErrorBody, query } from './client/transport.ts'
import type { EgressItem, EgressPage } from './egress/schema.ts'
import type { ChatMessage } from './engine/provider.ts'
import type { QuantizeReport } from './models/quantize-report.ts'
import type { QuantizeAnswer, QuantizeBody } from './models/quantize-schema.ts'
import type { ModelsAnswer } from './models/schema.ts'
import type { PredictAnswer, PredictBody } from './predict/schema.ts'
import type { DocumentAnswer, IngestAnswer, IngestBody, ListAnswer } from './rag/document-schema.ts'
import type { QueryAnswer, QueryBody, QueryEnd } from './rag/query-schema.ts'
import { readEventStream } from './read-event-stream.ts'
import type { QuotaAnswer, UserQuotaBody } from './usage/schema.ts'

export type ClientOptions = Readonly<{
  /** For example `http://127.0.0.1:8000`. */
  baseUrl: string
  token?: string | undefined
  fetch?: typeof globalThis.fetch
}>

export type User = Readonly<{ id: string; username: string; role: 'admin' | 'user' }>
export type ListedUser = User & Readonly<{ created_at: string; quota: QuotaAnswer }>
/** An API key; with its user where it may be somebody else's. */
export type ApiKeyItem = KeyInList & Partial<Pick<KeyOfUser, 'user'>>
/** The service says which scopes there are. */
export type NewKey = Omit<NewKeyBody, 'scopes'> & Readonly<{ scopes?: readonly string[] }>
export type Page<T> = Readonly<{ items: readonly T[]; next_cursor: string | null }>
export type Session = Readonly<{ access_token: string; token_type: 'bearer'; expires_in: number }>
export type ModelAnswer = Readonly<{
  model_name: string | null
  provider: string
  ran_on: 'local' | 'cloud'
  loaded: boolean
  state: string
  reason?: string
}>
/** A model, or the usual one of a provider. */
export type SelectBody = Readonly<{ model_name?: string; provider?: string }>
export type ProviderList = Readonly<{
  providers: ReadonlyArray<Readonly<{ name: string; ran_on: 'local' | 'cloud'; selected: boolean; models: readonly string[] }>>
  routes: readonly string[]
}>
export type ServedModel = Readonly<ModelsAnswer['models'][number]>
export type ModelList = Readonly<ModelsAnswer>
/** What a pull tells on its way, as the service sends it. */
export type PullMessage =
  | (Readonly<{ id: string }> &
      (
        | Readonly<{ type: 'download-start'; file: string; total_bytes: number }>
        | Readonly<{
            type: 'download-progress'
            received_bytes: number
            total_bytes: number
            bytes_per_second: number
            seconds_left: number | null
          }>
        | Readonly<{ type: 'download-retry'; reason: string }>
        | Readonly<{ type: 'convert-progress'; done: number; total: number }>
        | Readonly<{ type: 'download-wait' }>
        | Readonly<{ type: 'file-check'; file: string }>
        | Readonly<{ type: 'checkpoint-ready'; repository: string }>
      ))
  | Readonly<{ type: 'done'; name: string }>
export type ListedDocument = ListAnswer['documents'][number]
export type DocumentChunk = NonNullable<DocumentAnswer['chunks']>[number]
export type IngestMessage =
  | Readonly<{ type: 'progress'; stage: 'extract' | 'split' | 'embed'; done?: number; total?: number }>
  | (Readonly<{ type: 'document' }> & IngestAnswer['documents'][number])

export type EgressFilter = Readonly<Partial<Record<'from' | 'to' | 'user' | 'provider' | 'purpose' | 'host' | 'limit', string>>>
export type { EgressItem, EgressPage }

type PredictEnd = Readonly<
  Pick<PredictAnswer, 'id' | 'model' | 'provider' | 'usage' | 'timings' | 'ran_on' | 'why' | 'passed_by'> & {
    finish_reason: PredictAnswer['choices'][number]['finish_reason']
  }
>
export type PredictEvent = Readonly<{ type: 'text'; text: string }> | (Readonly<{ type: 'done' }> & PredictEnd)

export type QuantizeEvent =
  | Readonly<{ type: 'calibrate' | 'measure'; chunk: number; chunks: number }>
  | Readonly<{ type: 'tensor'; tensor: number; tensors: number }>
  | (Readonly<{ type: 'done' }> & QuantizeAnswer)

export type ChatBody = Readonly<{ messages: readonly ChatMessage[]; model?: string; max_tokens?: number; temperature?: number }>
/** `id`: of the answer, for feedback. */
export type ChatEvent =
  | Readonly<{ type: 'text'; id: string; text: string }>
  | Readonly<{ type: 'done'; id: string; finishReason: string; completionTokens: number }>

/** What a question to the documents brings, in this order: the sources, the text piece by piece, and the rest of the answer. */
export type DocumentsAnswerEvent =
  | Readonly<{ type: 'sources'; sources: QueryAnswer['sources'] }>
  | Readonly<{ type: 'text'; text: string }>
  | (Readonly<{ type: 'done' }> & QueryEnd)

type OpenAiChunk = Readonly<{
  id: string
  choices: ReadonlyArray<Readonly<{ delta: Readonly<{ content?: string | null }>; finish_reason: string | null }>>
  usage?: Readonly<{ completion_tokens: number }> | null
  error?: Readonly<{ message: string; code?: string | null }>
}>

export type Client = ReturnType<typeof createClient>

/**
 * The service as typed functions. Each throws an AppError with the code that the service answered; `unavailable` with the
 * network's own error as its cause when no service answers at all.
 */
export function createClient({ baseUrl, token, fetch = globalThis.fetch }: ClientOptions) {
  const transport = createTransport({ baseUrl, fetch, ...(token === undefined ? {} : { token }) })
  const { call, json, done } = transport
  return {
    ...datasetCalls(transport),
    ...trainingClient(transport),
    ...rolloutClient(transport),
    ...mergeClient(transport),
    ...evaluationClient(transport),
    ...conversationClient(transport),
    ...adminClient(transport),
    baseUrl,
    health: () =>
      json<Readonly<{ status: 'ok'; version: string; uptime_seconds: number; local_only: boolean }>>('GET', '/health'),
    ready: () => json<Readonly<{ status: 'ready' }>>('GET', '/health/ready'),

    register: (username: string, password: string) => json<User>('POST', '/auth/register', { username, password }),
    login: (username: string, password: string) => json<Session>('POST', '/auth/login', { username, password }),
    authState: () => json<AuthState>('GET', '/auth/state'),
    logout: () => done('POST', '/auth/logout'),
    me: () => json<User>('GET', '/auth/me'),
    changePassword: (current: string, next: string) =>
      done('POST', '/auth/password', { current_password: current, new_password: next }),

    keys: () => json<Readonly<{ keys: readonly ApiKeyItem[] }>>('GET', '/auth/keys'),
    /** The only answer that holds the key itself. */
    addKey: (key: NewKey) => json<ApiKeyItem & Readonly<{ key: string }>>('POST', '/auth/keys', key),
    removeKey: (id: string) => done('DELETE', `/auth/keys/${encodeURIComponent(id)}`),
    allKeys: (cursor?: string) => json<Page<ApiKeyItem>>('GET', `/admin/keys${query({ cursor })}`),
    removeAnyKey: (id: string) => done('DELETE', `/admin/keys/${encodeURIComponent(id)}`),

    model: () => json<ModelAnswer>('GET', '/model'),
    models: () => json<ModelList>('GET', '/models'),
    changeLoaded: (name: string, change: 'load' | 'unload') =>
      json<ModelList>('POST', `/models/${encodeURIComponent(name)}/${change}`),
    providers: () => json<ProviderList>('GET', '/providers'),
    select: (body: SelectBody, signal?: AbortSignal) => json<ModelAnswer>('POST', '/model', body, signal),
    async *quantizeModel(body: QuantizeBody, signal?: AbortSignal): AsyncGenerator<QuantizeEvent> {
      yield* readQuantization(bodyOf(await call('POST', '/models/quantize', { ...body, stream: true }, signal), signal))
    },
    modelReport: (name: string) => json<QuantizeReport>('GET', `/models/${encodeURIComponent(name)}/report`),
    async *pull(name: string, signal?: AbortSignal): AsyncGenerator<PullMessage> {
      yield* readPull(bodyOf(await call('POST', '/models/pull', { name }, signal), signal))
    },
    /** Stops a pull for all who watch it; what arrived is kept. */
    cancelPull: (id: string) => done('DELETE', `/models/pulls/${encodeURIComponent(id)}`),
    removeModel: (name: string) => json<Readonly<{ name: string }>>('DELETE', `/models/${encodeURIComponent(name)}`),
    reload: (signal?: AbortSignal) => json<ModelAnswer>('POST', '/admin/reload', undefined, signal),

    predict: (body: PredictBody, signal?: AbortSignal) =>
      json<PredictAnswer>('POST', '/predict', { ...body, stream: false }, signal),
    async *predictStream(body: PredictBody, signal?: AbortSignal): AsyncGenerator<PredictEvent> {
      const response = await call('POST', '/predict', { ...body, stream: true }, signal)
      yield* readPrediction(bodyOf(response, signal))
    },
    async *chatStream(body: ChatBody, signal?: AbortSignal): AsyncGenerator<ChatEvent> {
      const request = { ...body, stream: true, stream_options: { include_usage: true } }
      yield* readChat(bodyOf(await call('POST', '/v1/chat/completions', request, signal), signal))
    },

    /** Sends files (with a `file` part each), a text or the address of a page. */
    async *addDocument(body: FormData | IngestBody, signal?: AbortSignal): AsyncGenerator<IngestMessage> {
      yield* readIngest(bodyOf(await call('POST', '/rag/documents', body, signal, 'text/event-stream'), signal))
    },
    /** All documents of a collection, oldest first. */
    async *documents(collection?: string): AsyncGenerator<ListedDocument> {
      for (let after: string | undefined, more = true; more; ) {
        const page: ListAnswer = await json('GET', `/rag/documents${query({ collection, after, limit: '200' })}`)
        yield* page.documents
        after = page.next_after ?? undefined
        more = after !== undefined
      }
    },
    document: (id: string) => json<DocumentAnswer>('GET', `/rag/documents/${encodeURIComponent(id)}`),
    async *documentChunks(id: string): AsyncGenerator<DocumentChunk> {
      const path = `/rag/documents/${encodeURIComponent(id)}`
      for (let from = 0; ; ) {
        const { chunks = [] } = await json<DocumentAnswer>(
          'GET',
          `${path}${query({ chunks: 'true', from: String(from), limit: '200' })}`,
        )
        yield* chunks
        from += chunks.length
        if (chunks.length < 200) return
      }
    },
    askDocuments: (body: QueryBody, signal?: AbortSignal) => json<QueryAnswer>('POST', '/rag/query', body, signal),
    async *askDocumentsStream(body: QueryBody, signal?: AbortSignal): AsyncGenerator<DocumentsAnswerEvent> {
      yield* readDocumentsAnswer(bodyOf(await call('POST', '/rag/query', { ...body, stream: true }, signal), signal))
    },
    removeDocument: (id: string) => done('DELETE', `/rag/documents/${encodeURIComponent(id)}`),

    ...predictionCalls(transport),
    /** All feedback as JSON lines, as it arrives. */
    async *exportFeedback(filter: FeedbackFilter = {}): AsyncGenerator<Uint8Array> {
      yield* bodyOf(await call('GET', `/feedback${query({ ...filter, format: 'jsonl' })}`))
    },

    /** Filters by their names on the wire. */
    listEgress: (filter: EgressFilter, cursor?: string) =>
      json<EgressPage>('GET', `/admin/egress${query({ ...filter, cursor })}`),

    listUsers: (cursor?: string) => json<Page<ListedUser>>('GET', `/admin/users${query({ cursor })}`),
    addUser: (username: string, password: string, role: User['role'] = 'user') =>
      json<ListedUser>('POST', '/admin/users', { username, password, role }),
    setRole: (id: string, role: User['role']) => json<ListedUser>('PATCH', `/admin/users/${encodeURIComponent(id)}`, { role }),
    setQuota: (id: string, quota: UserQuotaBody) =>
      json<ListedUser>('PATCH', `/admin/users/${encodeURIComponent(id)}`, { quota }),
    removeUser: (id: string) => done('DELETE', `/admin/users/${encodeURIComponent(id)}`),
  }
}

async function* readPrediction(body: AsyncIterable<Uint8Array>): AsyncGenerator<PredictEvent> {
  for await (const { event, data } of readEventStream(body)) {
    if (event === 'message') yield { type: 'text', text: data }
    if (event === 'error') throw fromErrorBody(data, 'The answer broke off.')
    if (event !== 'done') continue
    yield { type: 'done', ...(JSON.parse(data) as PredictEnd) }
    return
  }
  throw brokenOff()
}

async function* readDocumentsAnswer(body: AsyncIterable<Uint8Array>): AsyncGenerator<DocumentsAnswerEvent> {
  for await (const { event, data } of readEventStream(body)) {
    if (event === 'error') throw fromErrorBody(data, 'The answer broke off.')
    if (event === 'message') yield { type: 'text', text: data }
    if (event === 'sources') yield { type: 'sources', ...(JSON.parse(data) as Pick<QueryAnswer, 'sources'>) }
    if (event !== 'done') continue
    yield { type: 'done', ...(JSON.parse(data) as QueryEnd) }
    return
  }
  throw brokenOff()
}

async function* readQuantization(body: AsyncIterable<Uint8Array>): AsyncGenerator<QuantizeEvent> {
  for await (const { event, data } of readEventStream(body)) {
    if (event === 'error') throw fromErrorBody(data, 'The quantization broke off.')
    yield { type: event, ...JSON.parse(data) } as QuantizeEvent
    if (event === 'done') return
  }
  throw brokenOff()
}

async function* readIngest(body: AsyncIterable<Uint8Array>): AsyncGenerator<IngestMessage> {
  for await (const { event, data } of readEventStream(body)) {
    if (event === 'error') throw fromErrorBody(data, 'The upload broke off.')
    if (event === 'done') return
    yield { type: event, ...JSON.parse(data) } as IngestMessage
  }
  throw brokenOff()
}

async function* readPull(body: AsyncIterable<Uint8Array>): AsyncGenerator<PullMessage> {
  for await (const { event, data } of readEventStream(body)) {
    if (event === 'error') throw fromErrorBody(data, 'The pull broke off.')
    if (event === 'progress') yield JSON.parse(data) as PullMessage
    if (event !== 'done') continue
    yield { type: 'done', ...(JSON.parse(data) as { name: string }) }
    return
  }
  throw brokenOff()
}

async function* readChat(body: AsyncIterable<Uint8Array>): AsyncGenerator<ChatEvent> {
  let finishReason = 'stop'
  let completionTokens = 0
  let id = ''
  for await (const { data } of readEventStream(body)) {
    if (data === '[DONE]') {
      yield { type: 'done', id, finishReason, completionTokens }
      return
    }
    const chunk = JSON.parse(data) as OpenAiChunk
    if (chunk.error !== undefined) throw fromErrorBody(data, 'The answer broke off.')
    id = chunk.id
    const choice = chunk.choices[0]
    if (choice?.delta.content) yield { type: 'text', id, text: choice.delta.content }
    finishReason = choice?.finish_reason ?? finishReason
    completionTokens = chunk.usage?.completion_tokens ?? completionTokens
  }
  throw brokenOff()
}
