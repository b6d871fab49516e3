import type { GgufValue } from '../../engine/gguf/gguf-writer.ts'
import { AppError } from '../../errors.ts'
import { findBytes } from './json-file.ts'
import type { ModelConfig } from './model-config.ts'
import { isByteLevel, recognizePreTokenizer } from './pre-tokenizer.ts'
import { parseSentencePiece, type SentencePieceModel } from './sentencepiece.ts'
import { findTokenizerJson, type TokenizerJson } from './tokenizer-json.ts'
import { findWrapping, readTokenizerSettings, type TokenizerSettings, templateMetadata } from './tokenizer-settings.ts'
import { type AddedToken, completeVocabulary, tokenTypes, type Vocabulary, withSpaces } from './vocabulary.ts'

type Entries = ReadonlyArray<readonly [string, GgufValue]>

/** A piece without a score of its own is never the result of a merge. */
const noScore = -1e9
/** What llama.cpp's own converter gives added and missing tokens. */
const addedScore = -1000

/**
 * The metadata of a GGUF file that make llama.cpp's tokenizer the one of the checkpoint: byte-level BPE from tokenizer.json, or
 * SentencePiece from tokenizer.model (from tokenizer.json where that is all there is). Throws `not_found` without either,
 * `invalid` when it is damaged or of a kind that llama.cpp does not have.
 */
export async function readTokenizer(folder: string, config: ModelConfig): Promise<Entries> {
  const settings = await readTokenizerSettings(folder)
  const json = await findTokenizerJson(folder)
  if (json !== undefined && isByteLevel(json)) return describe(config, settings, json, byteLevel(config, json, settings))
  const model = await findBytes(folder, 'tokenizer.model')
  if (model !== undefined)
    return describe(config, settings, json, sentencePiece(config, parseSentencePiece(model), json, settings))
  if (json === undefined) throw new AppError('not_found', 'The checkpoint folder has neither tokenizer.json nor tokenizer.model.')
  if (json.hasByteFallback) return describe(config, settings, json, fromMerges(config, json, settings))
  throw new AppError('invalid', 'tokenizer.json should hold byte-level BPE or BPE with byte fallback, but holds neither.')
}

type Kind = Readonly<{ vocabulary: Vocabulary; metadata: Entries; addsBos: boolean }>

const text = (value: string): GgufValue => ({ type: 'string', value })
const flag = (value: boolean): GgufValue => ({ type: 'bool', value })

function byteLevel(config: ModelConfig, json: TokenizerJson, settings: TokenizerSettings): Kind {
  const known = new Map([...json.vocabulary].map(([token, id]) => [id, token]))
  const vocabulary = completeVocabulary(config.sizes.vocabulary, known, () => tokenTypes.normal, allAdded(json, settings))
  return {
    vocabulary,
    metadata: [
      ['tokenizer.ggml.model', text('gpt2')],
      ['tokenizer.ggml.pre', text(recognizePreTokenizer(json))],
      // Bytes are letters there, and the letter for a space is Ġ: the space between the two parts stays the only one.
      [
        'tokenizer.ggml.merges',
        { type: 'array', of: 'string', values: json.merges.map((pair) => pair.map(escapeSpaces).join(' ')) },
      ],
    ],
    addsBos: false,
  }
}

const escapeSpaces = (part: string) => part.replaceAll(' ', 'Ġ')

function sentencePiece(
  config: ModelConfig,
  model: SentencePieceModel,
  json: TokenizerJson | undefined,
  settings: TokenizerSettings,
): Kind {
  const { pieces } = model
  const known = new Map(
    pieces.map(({ text: piece, type }, id) => [id, type === tokenTypes.userDefined ? withSpaces(piece) : piece] as const),
  )
  const added = allAdded(json, settings)
  const typeOf = (id: number) => pieces[id]?.type ?? tokenTypes.unused
  const vocabulary = completeVocabulary(config.sizes.vocabulary, known, typeOf, added)
  const scores = vocabulary.tokens.map((_, id) => pieces[id]?.score ?? addedScore)
  return spm(vocabulary, scores, settings.addsPrefixSpace ?? model.addsSpace)
}

/** A SentencePiece tokenizer that was rewritten as merges: earlier merges have higher scores. */
function fromMerges(config: ModelConfig, json: TokenizerJson, settings: TokenizerSettings): Kind {
  const known = new Map([...json.vocabulary].map(([token, id]) => [id, token]))
  const unknownId = json.vocabulary.get(json.unknownToken ?? '')
  const typeOf = (id: number) => {
    if (id === unknownId) return tokenTypes.unknown
    return /^<0x[0-9A-F]{2}>$/.test(known.get(id) ?? '') ? tokenTypes.byte : tokenTypes.normal
  }
  const vocabulary = completeVocabulary(
    config.sizes.vocabulary,
    known,
    typeOf,
    allAdded(json, settings).filter(({ id }) => id !== unknownId),
  )
  const ranks = new Map<string, number>()
  for (const [rank, pair] of json.merges.entries()) {
    const merged = pair.join('')
    if (!ranks.has(merged)) ranks.set(merged, rank)
  }
  const scores = vocabulary.tokens.map((token) => {
    const rank = ranks.get(token)
    return rank === undefined ? noScore : -rank
  })
  return spm(vocabulary, scores, settings.addsPrefixSpace ?? prependsSpace(json))
}

function spm(vocabulary: Vocabulary, scores: readonly number[], addsSpace: boolean): Kind {
  return {
    vocabulary,
    metadata: [
      ['tokenizer.ggml.model', text('llama')],
      ['tokenizer.ggml.pre', text('default')],
      ['tokenizer.ggml.scores', { type: 'array', of: 'float32', values: scores }],
      ['tokenizer.ggml.add_space_prefix', flag(addsSpace)],
    ],
    addsBos: true,
  }
}

/** Whether tokenizer.json puts ▁ before a text: in its normalizer (older), or as a Metaspace. */
function prependsSpace({ normalizer, preTokenizer }: TokenizerJson): boolean {
  const shown = JSON.stringify([normalizer, preTokenizer])
  return /"type":"Prepend"|"prepend_scheme":"(first|always)"/.test(shown)
}

/** tokenizer.json says more of an added token than tokenizer_config.json, and counts where both have it. */
function allAdded(json: TokenizerJson | undefined, settings: TokenizerSettings): readonly AddedToken[] {
  return [...settings.added, ...(json?.added ?? [])]
}

/** What all kinds have: tokens, their types, special ids, templates. */
function describe(config: ModelConfig, settings: TokenizerSettings, json: TokenizerJson | undefined, kind: Kind): Entries {
  const { vocabulary } = kind
  const { first, last } = findWrapping(json?.postProcessor)
  const bos = settings.special.get('bos') ?? first
  // Of an embedding model the last token is the text's vector; llama.cpp puts none there but its end of text.
  const eos = (config.pooling === undefined ? undefined : last) ?? settings.special.get('eos')
  const idOf = (name: 'bos' | 'eos' | 'unk' | 'pad') => {
    const token = name === 'bos' ? bos : name === 'eos' ? eos : settings.special.get(name)
    const id = token === undefined ? -1 : vocabulary.tokens.indexOf(token)
    const given = name === 'unk' ? undefined : config.tokenIds[name]
    return id >= 0 ? id : given !== undefined && given < vocabulary.tokens.length ? given : undefined
  }
  const ids = [
    ['bos', 'tokenizer.ggml.bos_token_id'],
    ['eos', 'tokenizer.ggml.eos_token_id'],
    ['unk', 'tokenizer.ggml.unknown_token_id'],
    ['pad', 'tokenizer.ggml.padding_token_id'],
  ] as const
  const addsBos = settings.addsBos ?? (first === undefined ? kind.addsBos : first === bos)
  const addsEos = (config.pooling === undefined ? settings.addsEos : undefined) ?? (last !== undefined && last === eos)
  return [
    ...kind.metadata,
    ['tokenizer.ggml.tokens', { type: 'array', of: 'string', values: vocabulary.tokens }],
    ['tokenizer.ggml.token_type', { type: 'array', of: 'int32', values: vocabulary.types }],
    ...ids.flatMap(([name, key]) => {
      const id = idOf(name)
      return id === undefined ? [] : [[key, { type: 'uint32', value: id }] as const]
    }),
    ['tokenizer.ggml.add_bos_token', flag(addsBos)],
    ['tokenizer.ggml.add_eos_token', flag(addsEos)],
    ...templateMetadata(settings),
  ]
}
