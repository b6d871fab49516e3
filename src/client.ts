import type { AuthState, KeyInList, KeyOfUser, NewKeyBody, SessionInList } from './auth/schema.ts'
import { adminClient } from './client/admin.ts'
import { conversationClient } from './client/conversations.ts'
import { datasetCalls } from './client/datasets.ts'
import { documentClient } from './client/documents.ts'
import { evaluationClient } from './client/evaluations.ts'
import { mergeClient } from './client/merge.ts'
import { type ModelAnswer, modelClient } from './client/models.ts'
import { type FeedbackFilter, predictionCalls } from './client/predictions.ts'
import { rolloutClient } from './client/rollout.ts'
import { trainingClient } from './client/training.ts'
import { bodyOf, brokenOff, createTransport, fromErrorBody, query } from './client/transport.ts'
import type { EgressItem, EgressPage } from './egress/schema.ts'
import type { ChatMessage } from './engine/provider.ts'
import type { PredictAnswer, PredictBody } from './predict/schema.ts'
import { readEventStream } from './read-event-stream.ts'
import type { QuotaAnswer, TodayAnswer, UserQuotaBody } from './usage/schema.ts'

export type ClientOptions = Readonly<{
  /** For example `http://127.0.0.1:8000`. */
  baseUrl: string
  token?: string | undefined
  fetch?: typeof globalThis.fetch
}>

export type User = Readonly<{ id: string; username: string; role: 'admin' | 'user' }>
export type ListedUser = User & Readonly<{ created_at: string; quota: QuotaAnswer }>
/** An API key; with its user where it may be somebody else's. */
export type SessionItem = SessionInList
export type ApiKeyItem = KeyInList & Partial<Pick<KeyOfUser, 'user'>>
/** The service says which scopes there are. */
export type NewKey = Omit<NewKeyBody, 'scopes'> & Readonly<{ scopes?: readonly string[] }>
export type Page<T> = Readonly<{ items: readonly T[]; next_cursor: string | null }>
export type Session = Readonly<{ access_token: string; token_type: 'bearer'; expires_in: number }>
export type { DocumentChunk, DocumentsAnswerEvent, IngestMessage, ListedDocument } from './client/documents.ts'
export type {
  EndedPull,
  Making,
  ModelAnswer,
  ModelList,
  ModelMemory,
  ProviderList,
  PullList,
  PullMessage,
  QuantizeEvent,
  RunningPull,
  SelectBody,
  ServedModel,
} from './client/models.ts'

export type EgressFilter = Readonly<Partial<Record<'from' | 'to' | 'user' | 'provider' | 'purpose' | 'host' | 'limit', string>>>
export type { EgressItem, EgressPage }

type PredictEnd = Readonly<
  Pick<PredictAnswer, 'id' | 'model' | 'provider' | 'usage' | 'timings' | 'ran_on' | 'why' | 'passed_by'> & {
    finish_reason: PredictAnswer['choices'][number]['finish_reason']
  }
>
export type PredictEvent = Readonly<{ type: 'text'; text: string }> | (Readonly<{ type: 'done' }> & PredictEnd)

export type ChatBody = Readonly<{ messages: readonly ChatMessage[]; model?: string; max_tokens?: number; temperature?: number }>
/** `id`: of the answer, for feedback. */
export type ChatEvent =
  | Readonly<{ type: 'text'; id: string; text: string }>
  | Readonly<{ type: 'done'; id: string; finishReason: string; completionTokens: number }>

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
    ...modelClient(transport),
    ...mergeClient(transport),
    ...evaluationClient(transport),
    ...conversationClient(transport),
    ...adminClient(transport),
    ...documentClient(transport),
    baseUrl,
    health: () =>
      json<Readonly<{ status: 'ok'; version: string; uptime_seconds: number; local_only: boolean; database: 'ok' | 'slow' }>>(
        'GET',
        '/health',
      ),
    ready: () => json<Readonly<{ status: 'ready' }>>('GET', '/health/ready'),

    register: (username: string, password: string) => json<User>('POST', '/auth/register', { username, password }),
    login: (username: string, password: string) => json<Session>('POST', '/auth/login', { username, password }),
    authState: () => json<AuthState>('GET', '/auth/state'),
    logout: () => done('POST', '/auth/logout'),
    me: () => json<User>('GET', '/auth/me'),
    changePassword: (current: string, next: string) =>
      done('POST', '/auth/password', { current_password: current, new_password: next }),

    /** Where one is logged in. */
    sessions: () => json<Readonly<{ sessions: readonly SessionItem[] }>>('GET', '/auth/sessions'),
    endSession: (id: string) => done('DELETE', `/auth/sessions/${encodeURIComponent(id)}`),
    endOtherSessions: () => done('DELETE', '/auth/sessions'),

    /** What one has used today, and may use. */
    usage: () => json<TodayAnswer>('GET', '/auth/usage'),
    keys: () => json<Readonly<{ keys: readonly ApiKeyItem[] }>>('GET', '/auth/keys'),
    /** The only answer that holds the key itself. */
    addKey: (key: NewKey) => json<ApiKeyItem & Readonly<{ key: string }>>('POST', '/auth/keys', key),
    removeKey: (id: string) => done('DELETE', `/auth/keys/${encodeURIComponent(id)}`),
    allKeys: (cursor?: string) => json<Page<ApiKeyItem>>('GET', `/admin/keys${query({ cursor })}`),
    removeAnyKey: (id: string) => done('DELETE', `/admin/keys/${encodeURIComponent(id)}`),

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
    /** Logs a user out everywhere. */
    endUserSessions: (id: string) => done('DELETE', `/admin/users/${encodeURIComponent(id)}/sessions`),
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
