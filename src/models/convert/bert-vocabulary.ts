import { type Static, Type } from 'typebox'
import { AppError } from '../../errors.ts'
import { findBytes, findJson } from './json-file.ts'

/** A WordPiece vocabulary as llama.cpp reads it. */
export type BertVocabulary = Readonly<{
  tokens: readonly string[]
  /** `llama_token_type` of each. */
  types: readonly number[]
  lowercase: boolean
  stripAccents: boolean
  special: Readonly<{ unknown: number; separator: number; padding: number; classify: number; mask: number }>
}>

const tokenTypes = { normal: 1, control: 3, userDefined: 4, unused: 5 } as const
/** Stands before a token that begins a word; one that continues a word stands plain (in a checkpoint it has `##`). */
const wordStart = '\u2581'
const continuation = '##'

const Tokenizer = Type.Object({
  added_tokens: Type.Array(Type.Object({ id: Type.Integer({ minimum: 0 }), content: Type.String(), special: Type.Boolean() })),
  normalizer: Type.Object({
    type: Type.String(),
    lowercase: Type.Optional(Type.Boolean()),
    strip_accents: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
    handle_chinese_chars: Type.Optional(Type.Boolean()),
  }),
  model: Type.Object({
    type: Type.Optional(Type.String()),
    continuing_subword_prefix: Type.Optional(Type.String()),
    unk_token: Type.Optional(Type.String()),
    vocab: Type.Record(Type.String(), Type.Integer({ minimum: 0 })),
  }),
})
type Tokenizer = Static<typeof Tokenizer>

const TokenizerConfig = Type.Object({
  do_lower_case: Type.Optional(Type.Boolean()),
  strip_accents: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
})

/**
 * Reads tokenizer.json, or vocab.txt of an older checkpoint. `size` is how many tokens the model has; ids without a token are
 * filled up. Throws `not_found` without either, `invalid` when it is no WordPiece tokenizer that llama.cpp can follow.
 */
export async function readBertVocabulary(folder: string, size: number): Promise<BertVocabulary> {
  const tokenizer = await findJson(folder, 'tokenizer.json', Tokenizer)
  if (tokenizer !== undefined) return fromTokenizer(tokenizer, size)
  const text = (await findBytes(folder, 'vocab.txt'))?.toString('utf8')
  if (text === undefined) throw new AppError('not_found', 'The checkpoint folder has neither tokenizer.json nor vocab.txt.')
  const { do_lower_case: lowercase = true, strip_accents } =
    (await findJson(folder, 'tokenizer_config.json', TokenizerConfig)) ?? {}
  const words = text.replace(/\r?\n$/, '').split(/\r?\n/)
  const special = new Map(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].map((name) => [name, tokenTypes.control]))
  return finish(
    new Map(words.map((word, id) => [id, word])),
    special,
    { lowercase, stripAccents: strip_accents ?? lowercase },
    size,
  )
}

function fromTokenizer({ model, normalizer, added_tokens }: Tokenizer, size: number): BertVocabulary {
  if ((model.type ?? 'WordPiece') !== 'WordPiece' || (model.continuing_subword_prefix ?? continuation) !== continuation)
    throw new AppError('invalid', `A BERT's tokenizer must be WordPiece with "##", but is ${model.type ?? 'another'}.`)
  if (normalizer.type !== 'BertNormalizer' || normalizer.handle_chinese_chars === false)
    throw new AppError('invalid', `A BERT's normalizer must be BertNormalizer that sets Chinese characters apart.`)
  const tokens = new Map(Object.entries(model.vocab).map(([token, id]) => [id, token]))
  const types = new Map<string, number>()
  for (const { id, content, special } of added_tokens) {
    tokens.set(id, content)
    types.set(content, special ? tokenTypes.control : tokenTypes.userDefined)
  }
  const lowercase = normalizer.lowercase ?? true
  return finish(tokens, types, { lowercase, stripAccents: normalizer.strip_accents ?? lowercase }, size)
}

function finish(
  tokens: ReadonlyMap<number, string>,
  typeOf: ReadonlyMap<string, number>,
  normalizer: Readonly<{ lowercase: boolean; stripAccents: boolean }>,
  size: number,
): BertVocabulary {
  const largest = [...tokens.keys()].reduce((most, id) => Math.max(most, id), -1)
  if (largest >= size)
    throw new AppError('invalid', `The tokenizer has a token ${largest}, but the model only tokens from 0 to ${size - 1}.`)
  const ids = Array.from({ length: size }, (_, id) => id)
  const idOf = new Map([...tokens].map(([id, token]) => [token, id]))
  const special = (name: string) => {
    const id = idOf.get(name)
    if (id !== undefined) return id
    throw new AppError('invalid', `The tokenizer has no token "${name}".`)
  }
  const pieces = new Map([...idOf].map(([token, id]) => [id, toPiece(token, typeOf.get(token) ?? tokenTypes.normal)]))
  const owner = new Map([...pieces].map(([id, piece]) => [piece, id]))
  const isUsed = (id: number) => owner.get(pieces.get(id) ?? '') === id
  return {
    // llama.cpp ends its process when two tokens are the same: of such, the last is used, as by other tokenizers.
    tokens: ids.map((id) => (isUsed(id) ? (pieces.get(id) ?? '') : `[PAD${id}]`)),
    types: ids.map((id) => (isUsed(id) ? (typeOf.get(tokens.get(id) ?? '') ?? tokenTypes.normal) : tokenTypes.unused)),
    ...normalizer,
    special: {
      unknown: special('[UNK]'),
      separator: special('[SEP]'),
      padding: special('[PAD]'),
      classify: special('[CLS]'),
      mask: special('[MASK]'),
    },
  }
}

/** How llama.cpp wants a token: with a mark where a word begins, and none where it goes on. */
function toPiece(token: string, type: number): string {
  if (type === tokenTypes.control) return token
  return token.startsWith(continuation) ? token.slice(continuation.length) : wordStart + token
}
