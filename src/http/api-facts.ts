import type { ErrorCode } from '../errors.ts'

/** What the schema of a route does not say about it. */
export type RouteFacts = Readonly<{
  /** Further forms of the answer to a success, beside that of its schema. */
  alsoAnswers?: readonly MediaType[]
  /** The forms of the answer to a success of a route without a schema for it. */
  answers?: readonly MediaType[]
  /** Failures of its own, beside those that follow from its kind (see `api-errors.ts`). */
  errors?: readonly ErrorCode[]
  /** A status that its API alone has. */
  otherStatus?: 529
  /** A body that works, for its reader to begin with. */
  example?: Readonly<Record<string, unknown>>
  /** The fields of a form that is taken in the place of JSON, beside those of the body. */
  form?: Form
  /** Works without being signed in, too, for callers on the same machine. */
  openOnLoopback?: true
}>

export type MediaType =
  | 'text/event-stream'
  | 'application/x-ndjson'
  | 'application/json'
  | 'text/csv'
  | 'text/markdown'
  | 'text/plain'

type Form = Readonly<{
  /** Whether several files may be sent. */
  files: 'one' | 'several'
  /** Fields of the JSON body that a form has not. */
  without: readonly string[]
}>

/** What stands between a request and a model that answers it. */
const answering = ['not_found', 'unprocessable', 'upstream', 'busy', 'conflict', 'too_large'] as const
const embedding = ['not_found', 'too_large', 'busy', 'upstream'] as const
const chat = { messages: [{ role: 'user', content: 'What is a llama?' }], max_tokens: 64 }
const events = { alsoAnswers: ['text/event-stream'] } as const
const lines = { alsoAnswers: ['application/x-ndjson'] } as const

/** By method and path, as the document has them. */
export const routeFacts: Readonly<Record<string, RouteFacts>> = {
  'GET /metrics': { answers: ['text/plain'], openOnLoopback: true },
  'POST /auth/register': {
    errors: ['forbidden', 'conflict'],
    example: { username: 'ana', password: 'a long password of ana' },
  },
  'POST /auth/login': { errors: ['unauthorized'], example: { username: 'ana', password: 'a long password of ana' } },
  'POST /auth/keys': { errors: ['conflict'], example: { name: 'laptop', scopes: ['inference'] } },
  'POST /predict': { ...events, errors: answering, example: { prompt: 'Once upon a time', max_length: 32 } },
  'POST /v1/chat/completions': { ...events, errors: answering, example: chat },
  'POST /v1/completions': { ...events, errors: answering, example: { prompt: 'Once upon a time', max_tokens: 32 } },
  'POST /v1/responses': { ...events, errors: answering, example: { input: 'What is a llama?', max_output_tokens: 64 } },
  'POST /v1/responses/input_tokens': { errors: answering },
  'POST /v1/embeddings': { errors: embedding, example: { input: ['one text', 'another'] } },
  'POST /v1/rerank': { errors: embedding, example: { query: 'llamas', documents: ['a llama', 'a ship'] } },
  'POST /v1/messages': { ...events, errors: answering, otherStatus: 529, example: { model: 'claude', ...chat } },
  'POST /v1/messages/count_tokens': { errors: answering },
  'POST /api/chat': { ...lines, errors: answering, example: { messages: chat.messages, stream: false } },
  'POST /api/generate': { ...lines, errors: answering, example: { prompt: 'Once upon a time', stream: false } },
  'POST /api/embed': { errors: embedding, example: { input: 'one text' } },
  'POST /api/embeddings': { errors: embedding, example: { prompt: 'one text' } },
  'POST /api/show': { errors: ['not_found', 'unprocessable'] },
  'POST /api/pull': { ...lines, errors: ['not_found', 'conflict', 'upstream', 'busy', 'unprocessable'] },
  'DELETE /api/delete': { errors: ['not_found', 'conflict'] },
  'POST /api/copy': { errors: ['not_found', 'conflict'] },
  'POST /api/create': { errors: ['not_found'] },
  'POST /api/push': { errors: ['not_found'] },
  'POST /model': { errors: ['not_found', 'conflict', 'upstream', 'busy', 'unprocessable'], example: { model_name: 'qwen' } },
  'POST /models/{name}/load': { errors: ['conflict', 'busy', 'unprocessable'] },
  'POST /models/{name}/unload': { errors: ['conflict', 'busy'] },
  'DELETE /models/{name}': { errors: ['conflict'] },
  'DELETE /models/jobs/{id}': { errors: ['conflict'] },
  'POST /models/quantize': { ...events, errors: ['not_found', 'conflict', 'busy', 'unprocessable'] },
  'POST /models/merge': { ...events, errors: ['not_found', 'conflict', 'busy', 'unprocessable'] },
  'POST /models/pull': { ...events, errors: ['not_found', 'conflict', 'upstream', 'busy', 'unprocessable'] },
  'POST /admin/reload': { errors: ['not_found', 'conflict', 'unprocessable', 'upstream'] },
  'POST /embed/encode': { errors: embedding, example: { texts: ['one text', 'another'] } },
  'POST /embed/search': { errors: embedding, example: { query: 'llamas', k: 3 } },
  'POST /embed/add': { errors: [...embedding, 'conflict'], example: { documents: ['a llama', 'a ship'] } },
  'POST /embed/delete': { errors: ['not_found'] },
  'POST /embed/save': { errors: ['not_found', 'conflict'], example: { name: 'evening' } },
  'POST /embed/load': { errors: ['not_found', 'conflict', 'unprocessable'] },
  'GET /embed/stats': { errors: ['not_found'] },
  'PATCH /embed/collections/{id}': { errors: ['conflict'] },
  'DELETE /embed/collections/{id}': { errors: ['conflict'] },
  'POST /embed/collections/{id}/re-embed': { errors: ['conflict'] },
  'DELETE /embed/collections/{id}/re-embed': { errors: ['conflict'] },
  'POST /rag/query': { ...events, errors: answering, example: { question: 'What is a llama?' } },
  'POST /rag/documents': {
    ...events,
    errors: ['not_found', 'conflict', 'unprocessable', 'upstream', 'busy'],
    example: { name: 'llamas.txt', text: 'A llama is an animal of the Andes.' },
    form: { files: 'several', without: ['url', 'name', 'text'] },
  },
  'GET /rag/documents': { errors: ['not_found'] },
  'POST /conversations/{id}/messages': { errors: ['conflict', 'unprocessable'] },
  'POST /conversations/{id}/answers': { errors: [...answering] },
  'POST /conversations/{id}/restore': { errors: ['conflict'] },
  'GET /conversations/{id}/messages/{message_id}/events': { answers: ['text/event-stream'] },
  'GET /conversations/export': { answers: ['application/x-ndjson'] },
  'GET /conversations/{id}/export': { answers: ['application/json', 'text/markdown'] },
  'POST /conversations/import': { errors: ['unprocessable'], form: { files: 'one', without: [] } },
  'POST /presets': { errors: ['conflict'] },
  'PUT /presets/{id}': { errors: ['conflict'] },
  'POST /feedback': { errors: ['not_found', 'conflict'], example: { text: 'It speaks clearly.' } },
  'GET /feedback': { alsoAnswers: ['application/x-ndjson'] },
  'POST /admin/users': { errors: ['conflict'] },
  'PATCH /admin/users/{id}': { errors: ['conflict'] },
  'DELETE /admin/users/{id}': { errors: ['conflict'] },
  'POST /training/runs': { errors: ['not_found', 'conflict', 'busy', 'unprocessable'] },
  'GET /training/latest': { errors: ['not_found'] },
  'DELETE /training/runs/{id}': { errors: ['conflict'] },
  'POST /training/runs/{id}/pause': { errors: ['conflict'] },
  'POST /training/runs/{id}/cancel': { errors: ['conflict'] },
  'POST /training/runs/{id}/resume': { errors: ['conflict', 'busy'] },
  'GET /training/runs/{id}/metrics': events,
  'POST /training/evaluations': { errors: ['not_found', 'conflict', 'busy', 'unprocessable'] },
  'GET /training/evaluations/{id}': events,
  'DELETE /training/evaluations/{id}': { errors: ['conflict'] },
  'POST /training/evaluations/{id}/cancel': { errors: ['conflict'] },
  'POST /datasets': {
    errors: ['conflict', 'unprocessable', 'busy'],
    form: { files: 'one', without: ['rows', 'from_feedback'] },
    example: { name: 'greetings', rows: [{ prompt: 'Hello', completion: 'Good day' }] },
  },
  'DELETE /datasets/{id}': { errors: ['conflict'] },
  'GET /datasets/{id}/export': { answers: ['application/x-ndjson'] },
  'POST /rollout': { errors: ['not_found', 'conflict'] },
  'PATCH /rollout/{id}': { errors: ['conflict'] },
  'POST /rollout/{id}/promote': { errors: ['conflict'] },
  'POST /rollout/{id}/rollback': { errors: ['conflict'] },
  'POST /rollout/rollback': { errors: ['not_found', 'conflict'] },
  'POST /rollout/{id}/end': { errors: ['conflict'] },
  'GET /admin/history': { alsoAnswers: ['text/csv'] },
  'GET /admin/audit': { alsoAnswers: ['text/csv'] },
  'GET /admin/logs': events,
}

/** What the groups of routes are for. */
export const tagDescriptions: Readonly<Record<string, string>> = {
  service: 'Whether the service lives and can answer, and its numbers.',
  auth: 'Accounts, logins and API keys.',
  predict: 'Continuing a prompt, as JSON, as a stream and over a WebSocket.',
  openai: 'The API of OpenAI, in its own shapes.',
  anthropic: 'The API of Anthropic, in its own shapes.',
  ollama: 'The API of Ollama, in its own shapes.',
  models: 'The installed models: which answers, what is in memory, downloads and smaller copies.',
  embed: 'Vectors of texts, and collections that are searched by meaning and by words.',
  rag: 'Documents, and answers from them with their sources.',
  conversations: 'Conversations that the service keeps, with all of their branches, and presets.',
  feedback: 'What people say about answers.',
  predictions: 'What the service remembers of its answers.',
  training: 'Datasets, training runs and evaluations.',
  rollout: 'Sharing requests between models, and what that shows.',
  admin: 'Users, keys, numbers over time, logs, the audit and what left the machine.',
}
