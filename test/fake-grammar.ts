import type { GrammarState } from '../src/engine/local/backend.ts'
import { AppError } from '../src/errors.ts'
import { beginGrammar, follow, type Gbnf, parseGbnf } from './gbnf.ts'

/** A grammar that allows everything. */
export const anything: GrammarState = { allowed: (tokens) => tokens.map(() => true), accept() {}, canEnd: () => true, close() {} }

export type FakeVocabulary = Readonly<{
  textOf(token: number): string
  /** The token that ends an answer. */
  end: number
}>

/** What llama.cpp's grammars do, over tokens that are known by their text; like there, what is not allowed must not be accepted. */
export function createFakeGrammar(grammar: string, { textOf, end }: FakeVocabulary, root?: string): GrammarState {
  let state = beginGrammar(parse(grammar), root)
  const after = (token: number) => {
    if (token === end) return state.canEnd ? state : undefined
    return textOf(token) === '' ? undefined : follow(state, textOf(token))
  }
  return {
    allowed: (tokens) => tokens.map((token) => after(token) !== undefined),
    accept(token) {
      const next = after(token)
      if (next === undefined) throw new Error(`The grammar does not allow ${JSON.stringify(textOf(token))} here.`)
      state = next
    },
    canEnd: () => state.canEnd,
    close() {},
  }
}

function parse(grammar: string): Gbnf {
  try {
    return parseGbnf(grammar)
  } catch (cause) {
    throw new AppError('invalid', 'The grammar cannot be read.', { cause })
  }
}
