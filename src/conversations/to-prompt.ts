import type { ChatMessage, Tools } from '../engine/provider.ts'
import { resolveSampling, type SampledBy } from '../engine/sampling.ts'
import type { PredictRequest } from '../predict/predict.ts'
import { predictDefaults } from '../predict/schema.ts'
import { fence } from './fence.ts'
import type { KeptMessage } from './message-rows.ts'
import type { ConversationSettings } from './schema.ts'

/** How models of this machine answer where nothing was chosen: calmly, which suits small ones. Clouds are told what was chosen alone. */
const calm = { ...predictDefaults, temperature: 0.7, topP: 0.95, repeatPenalty: 1.1 } as const
const usualMaxTokens = 1024

export type Asked = Readonly<{
  conversationId: string
  settings: ConversationSettings
  /** The branch up to what is answered, oldest first. */
  branch: readonly KeptMessage[]
}>

/** The request for an answer. `ranOn`: where it is to be given. */
export function toPredictRequest({ conversationId, settings, branch }: Asked, ranOn: 'local' | 'cloud'): PredictRequest {
  const { model, provider, reasoning, seed } = settings
  const asked = branch.at(-1)
  const tools = toTools(settings)
  return {
    prompt: {
      type: 'chat',
      messages: toMessages(settings.system, branch),
      ...(tools === undefined ? {} : { tools }),
      ...(reasoning === undefined ? {} : { reasoning }),
    },
    maxTokens: settings.max_length ?? (ranOn === 'local' ? usualMaxTokens : undefined),
    choices: 1,
    sampling: { ...resolveSampling(sampledBy(settings), calm), seed },
    stop: [],
    model,
    provider,
    // Where files stand before it, the question alone tells what was asked.
    ...(asked?.attachments === undefined ? {} : { question: asked.content }),
    conversation: conversationId,
  }
}

export const sampledBy = (settings: ConversationSettings): SampledBy => ({
  temperature: settings.temperature,
  topP: settings.top_p,
  topK: settings.top_k,
  minP: settings.min_p,
  repeatPenalty: settings.repeat_penalty,
})

function toTools({ tools = [] }: ConversationSettings): Tools | undefined {
  if (tools.length === 0) return undefined
  return {
    tools: tools.map(({ name, description, parameters }, index) => ({
      name,
      ...(description === undefined ? {} : { description }),
      parameters: parameters ?? { type: 'object', properties: {} },
      field: `settings.tools.${index}.parameters`,
    })),
    choice: 'auto',
    parallel: true,
  }
}

/** Questions and answers alone. */
export function toHistory(branch: readonly KeptMessage[]): ChatMessage[] {
  return joinNeighbours(
    branch.flatMap(({ role, content }): ChatMessage[] => (role === 'tool' || content.trim() === '' ? [] : [{ role, content }])),
  )
}

function toMessages(system: string | undefined, branch: readonly KeptMessage[]): ChatMessage[] {
  // A call without its result, and a result without its call, no model takes.
  const results = new Set(branch.flatMap(({ tool_call_id: id }) => id ?? []))
  const calls = new Set(branch.flatMap(({ tool_calls: list = [] }) => list.map(({ id }) => id)))
  const told = branch.flatMap((message): ChatMessage[] => {
    const { role, content } = message
    if (role === 'user') return [{ role, content: withAttachments(message) }]
    if (role === 'tool') {
      const id = message.tool_call_id ?? ''
      return calls.has(id) ? [{ role, content, toolCallId: id }] : []
    }
    const toolCalls = (message.tool_calls ?? []).filter(({ id }) => results.has(id))
    if (toolCalls.length > 0) return [{ role, content, toolCalls }]
    // An answer that failed, or was stopped, before it had begun.
    return content === '' ? [] : [{ role, content }]
  })
  return [
    ...(system === undefined || system.trim() === '' ? [] : [{ role: 'system', content: system } as const]),
    ...joinNeighbours(told),
  ]
}

/** Two questions one after the other, where the answer to the first has failed: most templates want turns. */
function joinNeighbours(messages: readonly ChatMessage[]): ChatMessage[] {
  const joined: ChatMessage[] = []
  for (const message of messages) {
    const before = joined.at(-1)
    if (message.role === 'user' && before?.role === 'user')
      joined[joined.length - 1] = { role: 'user', content: `${before.content}\n\n${message.content}` }
    else joined.push(message)
  }
  return joined
}

function withAttachments({ content, attachments = [] }: KeptMessage): string {
  const files = attachments.map(({ name, text }) => `File ${JSON.stringify(name)}:\n${fence(text)}`)
  return [...files, content].join('\n\n')
}
