import type { RedactedThinkingBlockParam, ThinkingBlockParam } from '@anthropic-ai/sdk/resources/messages'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { AppError } from '../../errors.ts'

/** A block of thinking, as it must be sent back. Its text is a stretch of all that was thought. Blocks of a run have nothing between them. */
export type ThoughtBlock = Readonly<{ run: number }> &
  (
    | Readonly<{ type: 'thinking'; length: number; signature: string }>
    /** Thought that nobody may read. */
    | Readonly<{ type: 'redacted'; data: string }>
  )

/** Claude's own signatures are base64 and hold no colon. */
const prefix = 'blocks:'

const run = Type.Integer({ minimum: 0 })
const blocksInside = Type.Array(
  Type.Union([
    Type.Object({ run, type: Type.Literal('thinking'), length: Type.Integer({ minimum: 0 }), signature: Type.String() }),
    Type.Object({ run, type: Type.Literal('redacted'), data: Type.String() }),
  ]),
)

/** One signature for all blocks of an answer: the block's own where there is one, or else a list of them. */
export function joinSignatures(blocks: readonly ThoughtBlock[]): string {
  const [first, ...others] = blocks
  if (first?.type === 'thinking' && others.length === 0) return first.signature
  return prefix + Buffer.from(JSON.stringify(blocks)).toString('base64url')
}

/** Whether a signature is one for all that an answer has thought so far. */
export const isForAll = (signature: string): boolean => signature.startsWith(prefix)

/**
 * The blocks that an answer's reasoning was made of, or, where it is that of the last run alone, those of that. Reasoning that was not shown
 * is empty. Throws `invalid` where reasoning and signature do not belong together.
 */
export function splitReasoning(reasoning: string, signature: string): (ThinkingBlockParam | RedactedThinkingBlockParam)[] {
  if (!isForAll(signature)) return [{ type: 'thinking', thinking: reasoning, signature }]
  const all = readBlocks(signature)
  const lastRun = all.filter(({ run }) => run === all.at(-1)?.run)
  const blocks = [all, lastRun].find((some) => reasoning === '' || lengthOf(some) === reasoning.length)
  if (blocks === undefined) throw mismatch()
  let at = 0
  return blocks.map((block): ThinkingBlockParam | RedactedThinkingBlockParam => {
    if (block.type === 'redacted') return { type: 'redacted_thinking', data: block.data }
    at += block.length
    return { type: 'thinking', thinking: reasoning.slice(at - block.length, at), signature: block.signature }
  })
}

function lengthOf(blocks: readonly ThoughtBlock[]): number {
  return blocks.reduce((sum, block) => sum + (block.type === 'thinking' ? block.length : 0), 0)
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
