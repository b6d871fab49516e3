import type {
  BegunAnswer,
  ConversationAnswer,
  ConversationChanges,
  ConversationsPage,
  ImportAnswer,
  MessageAnswer,
  MessageEvent,
  MessagesPage,
  NewAnswer,
  NewConversation,
  NewMessage,
  PresetAnswer,
  PresetBody,
  PresetList,
} from '../conversations/schema.ts'
import { readEventStream } from '../read-event-stream.ts'
import { brokenOff, fromErrorBody, livingBodyOf, query, type Transport } from './transport.ts'

/** Conversations with their messages and answers, and presets. */
export function conversationClient({ call, json, done }: Transport) {
  const at = (id: string) => `/conversations/${encodeURIComponent(id)}`
  const messageAt = (id: string, messageId: string) => `${at(id)}/messages/${encodeURIComponent(messageId)}`
  return {
    conversations: (filter: Readonly<{ cursor?: string; search?: string; limit?: number }> = {}) =>
      json<ConversationsPage>(
        'GET',
        `/conversations${query({ cursor: filter.cursor, search: filter.search, limit: filter.limit?.toString() })}`,
      ),
    conversation: (id: string) => json<ConversationAnswer>('GET', at(id)),
    addConversation: (body: NewConversation = {}) => json<ConversationAnswer>('POST', '/conversations', body),
    changeConversation: (id: string, changes: ConversationChanges) => json<ConversationAnswer>('PATCH', at(id), changes),
    /** It can be brought back for a day. */
    removeConversation: (id: string) => done('DELETE', at(id)),
    restoreConversation: (id: string) => json<ConversationAnswer>('POST', `${at(id)}/restore`),
    /** Of one branch, oldest first. */
    messages: (id: string, page: Readonly<{ before?: string; leaf?: string; limit?: number }> = {}) =>
      json<MessagesPage>(
        'GET',
        `${at(id)}/messages${query({ before: page.before, leaf: page.leaf, limit: page.limit?.toString() })}`,
      ),
    addMessage: (id: string, body: NewMessage) => json<MessageAnswer>('POST', `${at(id)}/messages`, body),
    /** The answer goes on being written, whether somebody follows it or not. */
    beginAnswer: (id: string, body: NewAnswer) => json<BegunAnswer>('POST', `${at(id)}/answers`, body),
    stopAnswer: (id: string, messageId: string) => json<MessageAnswer>('POST', `${messageAt(id, messageId)}/stop`),
    /** Throws `unavailable` where the connection breaks off before the end; asked again, it begins with all that is there. */
    async *followAnswer(id: string, messageId: string, signal?: AbortSignal): AsyncGenerator<MessageEvent> {
      const response = await call('GET', `${messageAt(id, messageId)}/events`, undefined, signal)
      yield* readMessageEvents(livingBodyOf(response, signal))
    },
    /** One conversation as `json` (a line to import) or as `markdown` to read. */
    exportConversation: async (id: string, format: 'json' | 'markdown') =>
      (await call('GET', `${at(id)}/export${query({ format })}`)).blob(),
    /** All of them, a line of JSON each. */
    exportConversations: async () => (await call('GET', '/conversations/export')).blob(),
    importConversations: (file: Blob) => {
      const form = new FormData()
      form.append('file', file, 'conversations.jsonl')
      return json<ImportAnswer>('POST', '/conversations/import', form)
    },
    presets: () => json<PresetList>('GET', '/presets'),
    addPreset: (body: PresetBody) => json<PresetAnswer>('POST', '/presets', body),
    changePreset: (id: string, body: PresetBody) => json<PresetAnswer>('PUT', `/presets/${encodeURIComponent(id)}`, body),
    removePreset: (id: string) => done('DELETE', `/presets/${encodeURIComponent(id)}`),
  }
}

async function* readMessageEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<MessageEvent> {
  for await (const { event, data } of readEventStream(body)) {
    if (event === 'error') throw fromErrorBody(data, 'The answer broke off.')
    const told = JSON.parse(data) as MessageEvent
    yield told
    if (told.type === 'end') return
  }
  throw brokenOff()
}
