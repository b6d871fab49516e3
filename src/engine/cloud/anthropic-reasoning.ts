import type { RedactedThinkingBlockParam, ThinkingBlockParam } from '@anthropic-ai/sdk/resources/messages'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { AppError } from '../../errors.ts'

/** A block of thinking, as it must be sent back. Its text is a stretch of all that was thought. */
export type ThoughtBlock =
  | Readonly<{ type: 'thinking'; length: number; signature: string }>
  /** Thought that nobody may read. */
  | Readonly<{ type: 'redacted'; data: string }>

/** Claude's own signatures are base64 and hold no colon. */
const prefix = 'blocks:'

const blocksInside = Type.Array(
  Type.Union([
    Type.Object({ type: Type.Literal('thinking'), length: Type.Integer({ minimum: 0 }), signature: Type.String() }),
    Type.Object({ type: Type.Literal('redacted'), data: Type.String() }),
  ]),
)

/** One signature for all blocks of an answer: the block's own where there is one, or else a list of them. */
export function joinSignatures(blocks: readonly ThoughtBlock[]): string {
  const [first, ...others] = blocks
  if (first?.type === 'thinking' && others.length === 0) return first.signature
  return prefix + Buffer.from(JSON.stringify(blocks)).toString('base64url')
}

/** The blocks that an answer's reasoning was made of. Throws `invalid` where reasoning and signature do not belong together. */
export function splitReasoning(reasoning: string, signature: string): (ThinkingBlockParam | RedactedThinkingBlockParam)[] {
  if (!signature.startsWith(prefix)) return [{ type: 'thinking', thinking: reasoning, signature }]
  const blocks = readBlocks(signature)
  let at = 0
  const params = blocks.map((block): ThinkingBlockParam | RedactedThinkingBlockParam => {
    if (block.type === 'redacted') return { type: 'redacted_thinking', data: block.data }
    at += block.length
    return { type: 'thinking', thinking: reasoning.slice(at - block.length, at), signature: block.signature }
  })
  if (at !== reasoning.length) throw mismatch()
  return params
}

function readBlocks(signature: string): readonly ThoughtBlock[] {
  try {
    const blocks: unknown = JSON.parse(Buffer.from(signature.slice(prefix.length), 'base64url').toString())
    if (Value.Check(blocksInside, blocks)) return blocks
  } catch {
    // Told below: whatever is wrong with it, it is none of ours.
  }
  throw mismatch()
}

function mismatch(): AppError {
  const expected = 'The reasoning of an earlier answer must be sent back as it came, with its signature'
  return new AppError('invalid', `${expected}, but they do not belong together. Leave both out to go on without.`)
}
