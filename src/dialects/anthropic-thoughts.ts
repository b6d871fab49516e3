import { Buffer } from 'node:buffer'
import Type from 'typebox'
import { Value } from 'typebox/value'
import { hiddenCipher, signHidden, type Thought } from '../engine/thoughts.ts'
import { AppError } from '../errors.ts'
import type { AssistantMessageParam } from './anthropic-blocks.ts'
import type { ContentBlock } from './anthropic-schema.ts'

type BlockParam = Exclude<AssistantMessageParam['content'], string>[number]
type ThinkingParam = Extract<BlockParam, { type: 'thinking' | 'redacted_thinking' }>

/** Of a block whose text is left out: it holds what its writer wants back, the text and its own signature. */
const omittedMark = 'omitted:'
const omittedInside = Type.Object({ text: Type.String(), signature: Type.String() })

export const thinkingBlock = (thinking: string, signature: string) => ({ type: 'thinking', thinking, signature }) as const
export const redactedBlock = (data: string) => ({ type: 'redacted_thinking', data }) as const

/** `shows`: whether the block holds what was thought, or only its signature. */
export function toThinkingBlock({ text, signature }: Pick<Thought, 'text' | 'signature'>, shows: boolean): ContentBlock {
  const cipher = hiddenCipher(signature)
  if (cipher !== undefined) return redactedBlock(cipher)
  return shows ? thinkingBlock(text, signature) : thinkingBlock('', signOmitted(text, signature))
}

/** What stands in a block of thinking for a thought whose text is left out. */
export function signOmitted(text: string, signature: string): string {
  if (text === '' || signature === '') return signature
  return omittedMark + Buffer.from(JSON.stringify({ text, signature })).toString('base64url')
}

/** What was thought, of a block that came back. Throws `invalid` for a signature that was changed. */
export function fromThinkingBlock(block: ThinkingParam): Pick<Thought, 'text' | 'signature'> {
  if (block.type === 'redacted_thinking') return { text: '', signature: signHidden(block.data) }
  const { thinking: text, signature = '' } = block
  return signature.startsWith(omittedMark) ? readOmitted(signature) : { text, signature }
}

function readOmitted(signature: string): Pick<Thought, 'text' | 'signature'> {
  try {
    const thought: unknown = JSON.parse(Buffer.from(signature.slice(omittedMark.length), 'base64url').toString())
    if (Value.Check(omittedInside, thought)) return thought
  } catch {
    // Told below: whatever is wrong with it, it is none of ours.
  }
  throw new AppError('invalid', 'The signature of a thinking block must be sent back as it came, or the block left out.')
}
