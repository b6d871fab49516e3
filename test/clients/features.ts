import type { World } from './world.ts'

/** What clients do, in the order of the table, and as its rows say it. */
export const features = {
  chat: 'Answers a conversation',
  stream: 'Streams it, the same text',
  'stream-usage': 'Token counts of a stream',
  'forced-tool': 'Calls a tool that it must',
  'tool-turns': 'Several calls at once, their results, the answer; whole and streamed',
  schema: 'JSON by a schema',
  logprobs: 'Log-probabilities',
  reasoning: 'Reasoning apart from the answer, whole and streamed',
  images: 'Images',
  completion: 'Continues a text',
  responses: 'Responses API, whole and streamed',
  embeddings: 'Embeddings',
  models: 'Lists models',
  tokens: 'Counts tokens',
  cancel: 'Leaves a stream, which frees the model within a second',
  'unknown-model': 'Unknown model: the client’s own error',
  'wrong-body': 'Wrong value: the client’s own error',
  'wrong-key': 'Wrong key: the client’s own error',
  'broken-stream': 'A stream that breaks off: an error, not a short answer',
} as const

export type Feature = keyof typeof features

/** Throws where the feature does not work. A text: why it is not there; an empty one where the client has nothing like it. */
export type Check = ((world: World) => Promise<void>) | string

export type Client = Readonly<{
  /** The name of its package. */
  name: string
  checks: Readonly<Record<Feature, Check>>
}>
