import { AppError } from '../../errors.ts'
import { type TokenType, tokenTypes } from './vocabulary.ts'

// The format: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto (protocol buffers, proto2).

export type Piece = Readonly<{ text: string; score: number; type: TokenType }>

/** What a SentencePiece model file holds of use here. */
export type SentencePieceModel = Readonly<{
  pieces: readonly Piece[]
  /** Whether a space is put before a text. */
  addsSpace: boolean
}>

const fields = { pieces: 1, trainer: 2, normalizer: 3 } as const
const pieceFields = { text: 1, score: 2, type: 3 } as const
const trainerFields = { modelType: 3 } as const
const normalizerFields = { addDummyPrefix: 3 } as const
const modelTypes = { unigram: 1, bpe: 2 } as const
const pieceTypes: ReadonlyMap<number, TokenType> = new Map(Object.values(tokenTypes).map((type) => [type, type]))

/** Reads a `tokenizer.model`. Throws `invalid` when it is damaged, or no BPE model (llama.cpp merges by score, as BPE does). */
export function parseSentencePiece(bytes: Uint8Array): SentencePieceModel {
  const model = [...readFields(bytes)]
  const pieces = model.filter(({ number }) => number === fields.pieces).map(({ value }) => parsePiece(asBytes(value)))
  if (pieces.length === 0) throw damaged('it has no pieces')
  const within = (message: number, field: number) => {
    const found = model.find(({ number }) => number === message)
    return found === undefined ? undefined : [...readFields(asBytes(found.value))].find(({ number }) => number === field)?.value
  }
  const modelType = within(fields.trainer, trainerFields.modelType) ?? modelTypes.unigram
  if (modelType !== modelTypes.bpe) {
    throw new AppError(
      'invalid',
      'tokenizer.model should be a BPE model of SentencePiece, but is of another kind (unigram, word or char).',
    )
  }
  return { pieces, addsSpace: (within(fields.normalizer, normalizerFields.addDummyPrefix) ?? 1) === 1 }
}

function parsePiece(bytes: Uint8Array): Piece {
  let piece: Piece = { text: '', score: 0, type: tokenTypes.normal }
  for (const { number, value } of readFields(bytes)) {
    if (number === pieceFields.text) piece = { ...piece, text: Buffer.from(asBytes(value)).toString('utf8') }
    if (number === pieceFields.score) piece = { ...piece, score: toFloat(asBytes(value)) }
    if (number === pieceFields.type) piece = { ...piece, type: toType(value) }
  }
  return piece
}

function toFloat(bytes: Uint8Array): number {
  if (bytes.length !== 4) throw damaged('a score is not of 4 bytes')
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getFloat32(0, true)
}

function toType(value: Field['value']): TokenType {
  const type = typeof value === 'number' ? pieceTypes.get(value) : undefined
  if (type !== undefined) return type
  throw damaged(`a piece has the unknown type ${String(value)}`)
}

/** A number, or the bytes of a text, a message or a float. */
type Field = Readonly<{ number: number; value: number | Uint8Array }>

const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const

/** The fields of a message in their order. */
function* readFields(bytes: Uint8Array): Iterable<Field> {
  let at = 0
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw damaged('it ends within a field')
    at += length
    return bytes.subarray(at - length, at)
  }
  const varint = (): number => {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const [byte = 0] = take(1)
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value
    }
    throw damaged('a number has no end')
  }
  while (at < bytes.length) {
    const tag = varint()
    const number = Math.floor(tag / 8)
    switch (tag % 8) {
      case wireTypes.varint:
        yield { number, value: varint() }
        break
      case wireTypes.fixed64:
        yield { number, value: take(8) }
        break
      case wireTypes.bytes:
        yield { number, value: take(varint()) }
        break
      case wireTypes.fixed32:
        yield { number, value: take(4) }
        break
      default:
        throw damaged(`a field has the unknown form ${tag % 8}`)
    }
  }
}

function asBytes(value: Field['value']): Uint8Array {
  if (typeof value !== 'number') return value
  throw damaged('a number stands where text or a message should')
}

function damaged(what: string): AppError {
  return new AppError('invalid', `tokenizer.model is not a SentencePiece model: ${what}.`)
}
