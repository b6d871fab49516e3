import { AppError } from '../../errors.ts'

/** What llama.cpp has to know of a token (`llama_token_type`). */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const

export type TokenType = (typeof tokenTypes)[keyof typeof tokenTypes]

/** A token that was added to a vocabulary: a command (`special`), or text that is always one token. */
export type AddedToken = Readonly<{ id: number; content: string; special: boolean }>

/** Tokens by id. The arrays are of one length, the rows of the embedding matrix. */
export type Vocabulary = Readonly<{ tokens: readonly string[]; types: readonly TokenType[] }>

/**
 * Fills up a vocabulary to the size of the model, and puts added tokens in their places. Ids beyond the model's size belong to
 * tokens that it cannot have (Gemma's for images) and are left out. Throws `invalid` when two ids have the same text.
 */
export function completeVocabulary(
  size: number,
  known: ReadonlyMap<number, string>,
  typeOf: (id: number) => TokenType,
  added: readonly AddedToken[],
): Vocabulary {
  const tokens = Array.from({ length: size }, (_, id) => known.get(id) ?? `[PAD${id}]`)
  const types = Array.from({ length: size }, (_, id): TokenType => (known.has(id) ? typeOf(id) : tokenTypes.unused))
  for (const token of added) {
    if (token.id >= size) continue
    const isCommand = token.special || looksLikeCommand(token.content)
    tokens[token.id] = isCommand ? token.content : withSpaces(token.content)
    types[token.id] = isCommand ? tokenTypes.control : tokenTypes.userDefined
  }
  checkUnique(tokens)
  return { tokens, types }
}

/** llama.cpp looks for these in the text as it was typed, so it needs them with the spaces that SentencePiece writes as ▁. */
export function withSpaces(text: string): string {
  return text.replaceAll('▁', ' ')
}

/** Some checkpoints mark commands as ordinary added tokens. */
function looksLikeCommand(text: string): boolean {
  return /^<\|.*\|>$|^<｜.*｜>$|^<unused.*>$|^<pad>$|^<mask>$/s.test(text)
}

function checkUnique(tokens: readonly string[]): void {
  const seen = new Map<string, number>()
  for (const [id, token] of tokens.entries()) {
    const first = seen.get(token)
    if (first !== undefined)
      throw new AppError('invalid', `The tokens ${first} and ${id} have the same text: ${JSON.stringify(token)}.`)
    seen.set(token, id)
  }
}
