import { createHash } from 'node:crypto'
import type { ChatMessage, Prompt } from '../engine/provider.ts'

/** Characters of an image's address that are remembered; a larger one is a picture in itself, and makes room for a note. */
export const mostImageCharacters = 65_536

/** Characters of the beginning of a question, for lists. */
const excerptCharacters = 200

/** The prompt as it is remembered: as it was given, but for large pictures. */
export function toStoredPrompt(prompt: Prompt): Prompt {
  if (prompt.type === 'text') return prompt
  return { ...prompt, messages: prompt.messages.map(withoutLargeImages) }
}

function withoutLargeImages(message: ChatMessage): ChatMessage {
  if (message.role !== 'user' || message.images === undefined) return message
  return { ...message, images: message.images.map((image) => (image.length > mostImageCharacters ? noteOf(image) : image)) }
}

/** No address of a picture. With the checksum, two prompts with other pictures stay two prompts. */
function noteOf(image: string): string {
  const [, type = 'image'] = /^data:([\w.+-]+\/[\w.+-]+)/.exec(image) ?? []
  return `not remembered: ${type}, ${image.length} characters, SHA-256 ${createHash('sha256').update(image).digest('hex')}`
}

/** The beginning of what was asked. */
export function excerptOf(prompt: Prompt, question: string | undefined): string {
  const asked =
    question ?? (prompt.type === 'text' ? prompt.text : prompt.messages.findLast(({ role }) => role === 'user')?.content)
  // Not through the middle of a character.
  return (asked ?? '')
    .slice(0, excerptCharacters)
    .replace(/[\uD800-\uDBFF]$/, '')
    .toWellFormed()
}
