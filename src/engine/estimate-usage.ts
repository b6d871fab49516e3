import type { GenerateEvent, Prompt, Usage } from './provider.ts'

/** Counts one answer where nobody else does: it was stopped, or the provider tells no tokens. */
export interface UsageEstimate {
  saw(event: EstimatedEvent): void
  /** Of the prompt, and of the answer so far. */
  usage(): Usage
}

type EstimatedEvent = Exclude<GenerateEvent, { type: 'generation-end' }>

/** Most languages, and code, have about so many bytes in UTF-8 for a token. */
const bytesPerToken = 4
/** About what a large image takes at Anthropic (its pixels / 750) and at OpenAI (170 for each of its tiles, and 85). */
const tokensPerImage = 1500

/** A token for each piece of the answer, or for four bytes of it where that is more; for four bytes of the prompt, and a constant per image. */
export function createUsageEstimate(prompt: Prompt): UsageEstimate {
  let pieces = 0
  let bytes = 0
  return {
    saw(event) {
      if (event.type === 'choice-end') return
      pieces += 1
      bytes += Buffer.byteLength(event.type === 'tool-call-start' ? event.name : event.text)
    },
    usage: () => ({
      promptTokens: estimatePrompt(prompt),
      completionTokens: Math.max(pieces, Math.ceil(bytes / bytesPerToken)),
      cachedPromptTokens: 0,
    }),
  }
}

function estimatePrompt(prompt: Prompt): number {
  if (prompt.type === 'text') return Math.ceil(Buffer.byteLength(prompt.text) / bytesPerToken)
  const images = prompt.messages.reduce((sum, message) => sum + (message.role === 'user' ? (message.images ?? []).length : 0), 0)
  const written = JSON.stringify(prompt, (name, value) => (name === 'images' ? undefined : value))
  return Math.ceil(Buffer.byteLength(written) / bytesPerToken) + images * tokensPerImage
}
