import Type, { type Static } from 'typebox'

export const listedModel = Type.Object({
  name: Type.String({ description: '`base+adapter` for an adapter on a base.' }),
  aliases: Type.Array(Type.String()),
  kind: Type.Enum(['chat', 'embedding', 'reranker', 'adapter', 'projector', 'unknown']),
  selected: Type.Boolean({ description: 'Answers who names no model.' }),
  loaded: Type.Boolean(),
  state: Type.Enum(['unloaded', 'loading', 'ready', 'failed']),
  reason: Type.Optional(Type.String({ description: 'Why it cannot be used.' })),
  architecture: Type.Optional(Type.String()),
  quantization: Type.Optional(Type.String()),
  parameters: Type.Optional(Type.Integer()),
  size_bytes: Type.Optional(Type.Integer({ description: 'Of its files.' })),
  trained_context_size: Type.Optional(Type.Integer({ description: 'Tokens that it was trained for.' })),
  context_size: Type.Optional(Type.Integer({ description: 'Tokens of prompt and answer, while it is in memory.' })),
  estimated_memory_bytes: Type.Optional(Type.Integer({ description: 'What it takes once it is loaded and busy.' })),
  memory_bytes: Type.Integer({ description: 'What it takes now; 0 while it is not in memory.' }),
  active: Type.Integer({ description: 'Answers being written now.' }),
  queued: Type.Integer({ description: 'Requests that wait for a place.' }),
  requests_served: Type.Integer({ description: 'Since the service started.' }),
  loaded_since: Type.Optional(Type.String({ format: 'date-time' })),
  last_used_at: Type.Optional(Type.String({ format: 'date-time' })),
})

export type ListedModel = Static<typeof listedModel>

export const modelsAnswer = Type.Object({
  models: Type.Array(listedModel),
  memory: Type.Object({
    budget_bytes: Type.Integer({ description: 'What the chat models of this machine may take together (MEMORY_BUDGET).' }),
    used_bytes: Type.Integer({ description: 'What those in memory take; an adapter takes none beside its base.' }),
  }),
})
export type ModelsAnswer = Static<typeof modelsAnswer>
