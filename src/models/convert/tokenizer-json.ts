import { Type } from 'typebox'
import { AppError } from '../../errors.ts'
import { findJson } from './json-file.ts'
import type { AddedToken } from './vocabulary.ts'

/** What tokenizer.json says of a BPE tokenizer. */
export type TokenizerJson = Readonly<{
  /** Ids by token; byte-level ones in GPT-2's letters for bytes. */
  vocabulary: ReadonlyMap<string, number>
  merges: ReadonlyArray<readonly [string, string]>
  /** Whether a piece that is a token as a whole is taken as it is. */
  ignoresMerges: boolean
  /** Characters that are no token are written as bytes (`<0x0A>`): a SentencePiece tokenizer in another form. */
  hasByteFallback: boolean
  unknownToken: string | undefined
  added: readonly AddedToken[]
  normalizer: unknown
  preTokenizer: unknown
  postProcessor: unknown
}>

const fileName = 'tokenizer.json'

const File = Type.Object({
  model: Type.Object({
    type: Type.Optional(Type.String()),
    vocab: Type.Unknown(),
    merges: Type.Optional(Type.Unknown()),
    ignore_merges: Type.Optional(Type.Boolean()),
    byte_fallback: Type.Optional(Type.Boolean()),
    unk_token: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  }),
  added_tokens: Type.Optional(
    Type.Array(Type.Object({ id: Type.Integer({ minimum: 0 }), content: Type.String(), special: Type.Optional(Type.Boolean()) })),
  ),
  normalizer: Type.Optional(Type.Unknown()),
  pre_tokenizer: Type.Optional(Type.Unknown()),
  post_processor: Type.Optional(Type.Unknown()),
})

/** Reads tokenizer.json; undefined where there is none. Throws `invalid` when it is damaged or no BPE tokenizer. */
export async function findTokenizerJson(folder: string): Promise<TokenizerJson | undefined> {
  const file = await findJson(folder, fileName, File)
  if (file === undefined) return undefined
  const { model } = file
  if ((model.type ?? 'BPE') !== 'BPE')
    throw new AppError('invalid', `${fileName} should hold a BPE tokenizer, but holds one of type ${model.type}.`)
  return {
    vocabulary: toVocabulary(model.vocab),
    merges: toMerges(model.merges),
    ignoresMerges: model.ignore_merges ?? false,
    hasByteFallback: model.byte_fallback ?? false,
    unknownToken: model.unk_token ?? undefined,
    added: (file.added_tokens ?? []).map(({ id, content, special }) => ({ id, content, special: special ?? false })),
    normalizer: file.normalizer,
    preTokenizer: file.pre_tokenizer,
    postProcessor: file.post_processor,
  }
}

// By hand, not by schema: there are hundreds of thousands of them.
function toVocabulary(value: unknown): ReadonlyMap<string, number> {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  const ids = new Set<number>()
  for (const [token, id] of entries) {
    if (Number.isSafeInteger(id) && id >= 0 && !ids.has(id)) ids.add(id)
    else
      throw new AppError(
        'invalid',
        `${fileName} should have a number of its own for ${JSON.stringify(token)}, but has ${JSON.stringify(id)}.`,
      )
  }
  if (ids.size > 0) return new Map(entries)
  throw new AppError('invalid', `${fileName} should have a vocabulary, but has none.`)
}

/** Pairs, as lists or (before 2024) as texts with a space between. */
function toMerges(value: unknown): ReadonlyArray<readonly [string, string]> {
  const merges: unknown[] = Array.isArray(value) ? value : []
  return merges.map((merge) => {
    const parts: unknown[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : []
    const [left, right, ...more] = parts
    if (typeof left === 'string' && typeof right === 'string' && more.length === 0) return [left, right]
    throw new AppError('invalid', `${fileName} should have pairs of texts as merges, but has ${JSON.stringify(merge)}.`)
  })
}
