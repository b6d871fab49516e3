import { Tokenizer } from '@huggingface/tokenizers'
import { AppError } from '../../errors.ts'

export interface BertTokenizer {
  /** The most tokens that the model takes, `[CLS]` and `[SEP]` included. */
  readonly maxTokens: number
  /** Ids from `[CLS]` to `[SEP]`, cut to the most tokens that the model takes. */
  encode(text: string): readonly number[]
  /** The same, uncut. */
  encodeWhole(text: string): readonly number[]
  /** Whole ids, cut. */
  cut(ids: readonly number[]): readonly number[]
  /** Tokens of a text alone, without `[CLS]` and `[SEP]`. */
  countTokens(text: string): number
}

/**
 * The tokenizer of a BERT model, from the contents of its tokenizer.json (and tokenizer_config.json). Throws `invalid` when
 * they are none.
 */
export function createBertTokenizer(tokenizer: unknown, config: unknown, maxTokens: number): BertTokenizer {
  if (!isObject(tokenizer)) throw new AppError('invalid', 'tokenizer.json must hold an object.')
  const loaded = load(tokenizer, isObject(config) ? config : {})
  const lowercases =
    'normalizer' in tokenizer && isObject(tokenizer.normalizer) && Object(tokenizer.normalizer).lowercase !== false
  const encodeWhole = (text: string) => loaded.encode(prepare(text, lowercases)).ids
  function cut(ids: readonly number[]): readonly number[] {
    const last = ids.at(-1)
    return ids.length <= maxTokens || last === undefined ? ids : [...ids.slice(0, maxTokens - 1), last]
  }
  const countTokens = (text: string) => loaded.encode(prepare(text, lowercases), { add_special_tokens: false }).ids.length
  return { maxTokens, countTokens, encodeWhole, cut, encode: (text) => cut(encodeWhole(text)) }
}

function load(tokenizer: object, config: object): Tokenizer {
  try {
    return new Tokenizer(tokenizer, config)
  } catch (error) {
    throw new AppError('invalid', 'tokenizer.json is not a tokenizer that can be used.', { cause: error })
  }
}

/**
 * Makes the tokens those of the tokenizers that the models were trained with, where the library's differ: it writes a capital
 * sigma at the end of a word as ς, and does not set apart ideographs beyond 16 bits.
 */
function prepare(text: string, lowercases: boolean): string {
  const apart = text.replace(/[\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu, ' $& ')
  return lowercases ? apart.replaceAll('Σ', 'σ') : apart
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
