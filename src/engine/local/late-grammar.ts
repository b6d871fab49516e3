import type { GrammarState } from './backend.ts'

export type LateGrammarParts = Readonly<{
  grammar: string
  /** The text behind which the grammar holds. Not empty. */
  after: string
  /** Whether the answer is free again once the grammar may end, until the text comes again. Otherwise it holds to the answer's end. */
  repeats: boolean
  /** Whether the answer cannot end before the text has come. */
  required: boolean
  /** Throws `invalid` when the grammar does not parse. */
  createGrammar(grammar: string, root?: string): GrammarState
  /** The bytes that a token adds to the answer. */
  pieceOf(token: number): Uint8Array
  isEnd(token: number): boolean
}>

const begunRoot = 'begun-root'

/**
 * A grammar that begins within an answer, where the answer has come to hold a text: until then every token is allowed. A token may
 * complete that text and go on behind it; it is allowed if the grammar allows how it goes on.
 */
export function createLateGrammar(parts: LateGrammarParts): GrammarState {
  const { repeats, required, isEnd } = parts
  // Bytes, one a character: a token may hold a part of a character only.
  const mark = Buffer.from(parts.after).toString('latin1')
  /** The end of the free text, as far as the mark may begin in it. */
  let tail = ''
  let held = false
  let grammar: GrammarState | undefined

  const bytesOf = (token: number) => Buffer.from(parts.pieceOf(token)).toString('latin1')

  /** What the piece holds up to the end of the mark; undefined where it does not complete it. */
  function completing(piece: string): string | undefined {
    const at = (tail + piece).indexOf(mark)
    return at < 0 ? undefined : piece.slice(0, at + mark.length - tail.length)
  }

  /** A grammar whose first token is the one that completes the mark. */
  function begin(before: string): GrammarState {
    const literal = [...Buffer.from(before, 'latin1').toString('utf8')].map(escapeCharacter).join('')
    return parts.createGrammar(`${parts.grammar.trimEnd()}\n${begunRoot} ::= "${literal}" root\n`, begunRoot)
  }

  function isAllowed(token: number): boolean {
    if (isEnd(token)) return held || !required
    const piece = bytesOf(token)
    const before = completing(piece)
    if (before === undefined || before === piece) return true
    const begun = begin(before)
    const [allowed = false] = begun.allowed([token])
    begun.close()
    return allowed
  }

  function acceptFree(token: number): void {
    const piece = bytesOf(token)
    const before = completing(piece)
    if (before === undefined) {
      tail = mark.length === 1 ? '' : (tail + piece).slice(1 - mark.length)
      return
    }
    held = true
    if (before === piece) grammar = parts.createGrammar(parts.grammar)
    else acceptHeld(begin(before), token)
  }

  function acceptHeld(state: GrammarState, token: number): void {
    state.accept(token)
    grammar = state
    if (!repeats || isEnd(token) || !state.canEnd()) return
    close()
    tail = ''
  }

  function close(): void {
    grammar?.close()
    grammar = undefined
  }

  return {
    allowed: (tokens) => (grammar === undefined ? tokens.map(isAllowed) : grammar.allowed(tokens)),
    accept: (token) => (grammar === undefined ? acceptFree(token) : acceptHeld(grammar, token)),
    canEnd: () => (grammar === undefined ? held || !required : grammar.canEnd()),
    close,
  }
}

const escapeCharacter = (character: string) => `\\U${(character.codePointAt(0) ?? 0).toString(16).padStart(8, '0')}`
