import { AppError } from '../../errors.ts'

/** A grapheme of more bytes is looked up character by character. */
const mostBytes = 5

/**
 * The normalizer of a SentencePiece model, from `precompiled_charsmap` of its tokenizer.json: a trie of byte strings (Darts-clone,
 * https://github.com/s-yata/darts-clone) that gives places in a text of replacements, each ended by a zero byte. Graphemes are replaced as
 * the tokenizers that the models were trained with do it (https://github.com/huggingface/spm_precompiled). Throws `invalid` when damaged.
 */
export function createPrecompiledNormalizer(charsmap: string): (text: string) => string {
  const bytes = Buffer.from(charsmap, 'base64')
  const trieBytes = bytes.length < 4 ? 0 : bytes.readUInt32LE(0)
  if (trieBytes === 0 || trieBytes % 4 !== 0 || 4 + trieBytes > bytes.length)
    throw new AppError('invalid', 'The precompiled_charsmap of tokenizer.json is damaged.')
  const units = Uint32Array.from({ length: trieBytes / 4 }, (_, index) => bytes.readUInt32LE(4 + index * 4))
  const replacements = bytes.subarray(4 + trieBytes)
  const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' })
  const known = new Map<string, string | undefined>()

  /** What stands for a piece of text; undefined where it stays. */
  function find(piece: string): string | undefined {
    if (known.has(piece)) return known.get(piece)
    const place = firstPrefix(units, Buffer.from(piece, 'utf8'))
    const end = place === undefined ? -1 : replacements.indexOf(0, place)
    const found = place === undefined ? undefined : replacements.toString('utf8', place, end < 0 ? undefined : end)
    if (known.size < 10_000) known.set(piece, found)
    return found
  }

  function replace(grapheme: string): string {
    const whole = Buffer.byteLength(grapheme) <= mostBytes ? find(grapheme) : undefined
    return whole ?? Array.from(grapheme, (character) => find(character) ?? character).join('')
  }

  return (text) => {
    // Most texts have nothing but what stays.
    if (/^[\x20-\x7e]*$/.test(text)) return text
    return Array.from(segmenter.segment(text), ({ segment }) => replace(segment)).join('')
  }
}

/** The value of the shortest prefix of `key` in the trie. */
function firstPrefix(units: Uint32Array, key: Uint8Array): number | undefined {
  let position = offsetOf(units[0] ?? 0)
  for (const byte of key) {
    if (byte === 0) return undefined
    position ^= byte
    const unit = units[position] ?? 0
    if ((unit & 0x800000ff) >>> 0 !== byte) return undefined
    position ^= offsetOf(unit)
    if (((unit >>> 8) & 1) === 1) return (units[position] ?? 0) & 0x7fffffff
  }
  return undefined
}

const offsetOf = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6)
