import { Tokenizer } from '@huggingface/tokenizers'
import { AppError } from '../../errors.ts'
import { isJsonObject } from '../json-object.ts'
import { type EmbedTokens, leastText, longQuery } from './embed-backend.ts'
import { createPrecompiledNormalizer } from './precompiled-normalizer.ts'

/** Reads texts for an embedding model or a reranker. */
export interface TextTokenizer {
  /** The most tokens that the model takes, with those that it puts around a text. */
  readonly maxTokens: number
  /** Ids with those around the text, cut to the most tokens that the model takes. */
  encode(text: string): readonly number[]
  /** The same, uncut. */
  encodeWhole(text: string): readonly number[]
  /** Whole ids, cut. */
  cut(ids: readonly number[]): readonly number[]
  /** A query with a text, which is cut. Throws `context_length_exceeded` where the query leaves no room for it. */
  encodePair(query: string, text: string): EmbedTokens
  /** Tokens of a text alone. */
  countTokens(text: string): number
}

/**
 * The tokenizer of a model of the BERT family (WordPiece, Unigram, BPE), from the contents of its tokenizer.json (and
 * tokenizer_config.json). Throws `invalid` when they are none.
 */
export function createTextTokenizer(tokenizer: unknown, config: unknown, maxTokens: number): TextTokenizer {
  if (!isJsonObject(tokenizer)) throw new AppError('invalid', 'tokenizer.json must hold an object.')
  const { prepare, rest } = takePreparation(tokenizer)
  const loaded = load(rest, isJsonObject(config) ? config : {})
  const encodeWhole = (text: string) => loaded.encode(prepare(text)).ids
  function cut(ids: readonly number[]): readonly number[] {
    const last = ids.at(-1)
    return ids.length <= maxTokens || last === undefined ? ids : [...ids.slice(0, maxTokens - 1), last]
  }
  const countTokens = (text: string) => loaded.encode(prepare(text), { add_special_tokens: false }).ids.length

  function encodePair(query: string, text: string): EmbedTokens {
    const options = { text_pair: prepare(text), return_token_type_ids: true } as const
    const { ids, token_type_ids: types = [] } = loaded.encode(prepare(query), options)
    const secondFrom = types.indexOf(1)
    if (ids.length > maxTokens) {
      const queryTokens = encodeWhole(query).length
      if (queryTokens + leastText > maxTokens) throw longQuery(queryTokens, maxTokens)
    }
    return { ids: cut(ids), ...(secondFrom < 0 ? {} : { secondFrom }) }
  }

  return { maxTokens, countTokens, encodeWhole, cut, encode: (text) => cut(encodeWhole(text)), encodePair }
}

function load(tokenizer: object, config: object): Tokenizer {
  try {
    return new Tokenizer(tokenizer, config)
  } catch (error) {
    throw new AppError('invalid', 'tokenizer.json is not a tokenizer that can be used.', { cause: error })
  }
}

type Prepared = Readonly<{ prepare: (text: string) => string; rest: object }>

/**
 * What is done to a text before the library reads it, so that its tokens are those of the tokenizers that the models were trained with,
 * and the tokenizer without what is done here.
 */
function takePreparation(tokenizer: object): Prepared {
  const normalizer = 'normalizer' in tokenizer ? tokenizer.normalizer : undefined
  if (!isJsonObject(normalizer) || !('type' in normalizer)) return { prepare: (text) => text, rest: tokenizer }
  if (normalizer.type === 'BertNormalizer') return { prepare: bertPreparation(normalizer), rest: tokenizer }
  const steps: readonly unknown[] =
    normalizer.type === 'Sequence' && 'normalizers' in normalizer && Array.isArray(normalizer.normalizers)
      ? normalizer.normalizers
      : [normalizer]
  const [first, ...others] = steps
  // The library has only an approximation of it.
  if (isJsonObject(first) && 'precompiled_charsmap' in first && typeof first.precompiled_charsmap === 'string') {
    const rest = { ...tokenizer, normalizer: { type: 'Sequence', normalizers: others } }
    return { prepare: createPrecompiledNormalizer(first.precompiled_charsmap), rest }
  }
  return { prepare: (text) => text, rest: tokenizer }
}

/** The library writes a capital sigma at the end of a word as ς, and does not set apart ideographs beyond 16 bits. */
function bertPreparation(normalizer: object): (text: string) => string {
  const lowercases = !('lowercase' in normalizer) || normalizer.lowercase !== false
  return (text) => {
    const apart = text.replace(/[\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu, ' $& ')
    return lowercases ? apart.replaceAll('Σ', 'σ') : apart
  }
}
