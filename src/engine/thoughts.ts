import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { AppError } from '../errors.ts'
import type { ToolCall } from './provider.ts'

/** A stretch of what was thought, as it must be sent back to who thought it. */
export type Thought = Readonly<{
  /** Empty where nobody may read it. */
  text: string
  /** Empty where its writer gave none. */
  signature: string
  /** How much of the answer stands before it: characters of its text, and calls. */
  textBefore: number
  callsBefore: number
}>

/** Signatures of those who write them are base64 and hold no colon. */
const severalMark = 'blocks:'
const hiddenMark = 'redacted:'

/** The signature of a thought that nobody may read: its cipher. */
export const signHidden = (cipher: string): string => `${hiddenMark}${cipher}`

/** Undefined for the signature of a thought that can be read. */
export const hiddenCipher = (signature: string): string | undefined =>
  signature.startsWith(hiddenMark) ? signature.slice(hiddenMark.length) : undefined

const count = Type.Integer({ minimum: 0 })
const severalInside = Type.Array(Type.Object({ length: count, signature: Type.String(), textBefore: count, callsBefore: count }))

/** All thoughts of an answer as one text, with one signature: undefined where none of them is signed. */
export function joinThoughts(thoughts: readonly Thought[]): Readonly<{ reasoning: string; signature: string | undefined }> {
  const reasoning = thoughts.map(({ text }) => text).join('')
  if (thoughts.every(({ signature }) => signature === '')) return { reasoning, signature: undefined }
  const [first, ...others] = thoughts
  const isPlain = first !== undefined && others.length === 0 && first.textBefore === 0 && first.callsBefore === 0
  if (isPlain && !first.signature.startsWith(severalMark)) return { reasoning, signature: first.signature }
  const blocks = thoughts.map(({ text, ...rest }) => ({ length: text.length, ...rest }))
  return { reasoning, signature: severalMark + Buffer.from(JSON.stringify(blocks)).toString('base64url') }
}

/** The thoughts that were joined. Throws `invalid` where reasoning and signature do not belong together. */
export function splitThoughts(reasoning: string, signature: string | undefined): readonly Thought[] {
  if (reasoning === '' && signature === undefined) return []
  if (!signature?.startsWith(severalMark)) return [{ text: reasoning, signature: signature ?? '', textBefore: 0, callsBefore: 0 }]
  let at = 0
  const thoughts = readBlocks(signature).map(({ length, ...rest }): Thought => {
    at += length
    return { text: reasoning.slice(at - length, at), ...rest }
  })
  if (at !== reasoning.length) throw mismatch()
  return thoughts
}

function readBlocks(signature: string) {
  try {
    const blocks: unknown = JSON.parse(Buffer.from(signature.slice(severalMark.length), 'base64url').toString())
    if (Value.Check(severalInside, blocks)) return blocks
  } catch {
    // Told below: whatever is wrong with it, it is none of ours.
  }
  throw mismatch()
}

function mismatch(): AppError {
  const expected = 'The reasoning of an earlier answer must be sent back as it came, with its signature'
  return new AppError('invalid', `${expected}, but they do not belong together. Leave both out to go on without.`)
}

export type AnswerPiece =
  | Readonly<{ type: 'thought'; thought: Thought }>
  | Readonly<{ type: 'text'; text: string }>
  | Readonly<{ type: 'call'; call: ToolCall }>

/** The pieces of an answer in the order in which they came. No text is empty. */
export function inOrder(thoughts: readonly Thought[], text: string, calls: readonly ToolCall[]): readonly AnswerPiece[] {
  const pieces: AnswerPiece[] = []
  let characters = 0
  let called = 0
  const goOn = (toCharacter: number, toCall: number) => {
    if (toCharacter > characters) {
      const said = text.slice(characters, toCharacter)
      if (said !== '') pieces.push({ type: 'text', text: said })
      characters = toCharacter
    }
    for (; called < Math.min(toCall, calls.length); called += 1) {
      const call = calls[called]
      if (call !== undefined) pieces.push({ type: 'call', call })
    }
  }
  for (const thought of thoughts) {
    goOn(thought.textBefore, thought.callsBefore)
    pieces.push({ type: 'thought', thought })
  }
  goOn(text.length, calls.length)
  return pieces
}
