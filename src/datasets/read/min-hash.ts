/*
 * MinHash (A. Broder, "On the resemblance and containment of documents", 1997): the share of equal places in two signatures estimates the
 * Jaccard similarity of the sets of character 5-grams of two texts. Characters, not words: many rows are shorter than a few word 5-grams,
 * and one changed word would change most of those.
 */

/** Hash functions; the standard error of an estimate near 0.8 is 0.037. */
export const signatureLength = 120

const gramLength = 5

/** What differs between texts that a reader would call the same: case, width, accents composed or not, blanks and punctuation. */
export function normalize(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}]+/gu, ' ')
    .trim()
}

const { multipliers, offsets } = makeFunctions()

/** The signature of a normalised text. Texts shorter than a gram are one gram. */
export function signatureOf(text: string): Uint32Array {
  const signature = new Uint32Array(signatureLength).fill(0xffffffff)
  const last = Math.max(0, text.length - gramLength)
  for (let start = 0; start <= last; start += 1) {
    const gram = hashGram(text, start)
    for (let place = 0; place < signatureLength; place += 1) {
      const value = (Math.imul(gram, multipliers[place] ?? 1) + (offsets[place] ?? 0)) >>> 0
      if (value < (signature[place] ?? 0)) signature[place] = value
    }
  }
  return signature
}

/**
 * An estimate of the Jaccard similarity, 0 to 1. Places that are equal and `isLeftOut` say nothing; where all of them are, the texts are
 * the same.
 */
export function similarity(one: Uint32Array, other: Uint32Array, isLeftOut: (place: number) => boolean = () => false): number {
  let equal = 0
  let leftOut = 0
  for (let place = 0; place < signatureLength; place += 1) {
    if (one[place] !== other[place]) continue
    if (isLeftOut(place)) leftOut += 1
    else equal += 1
  }
  return leftOut === signatureLength ? 1 : equal / (signatureLength - leftOut)
}

/** FNV-1a over the UTF-16 units, then mixed so that all bits depend on all. */
function hashGram(text: string, start: number): number {
  let hash = 0x811c9dc5
  const end = Math.min(text.length, start + gramLength)
  for (let place = start; place < end; place += 1) hash = Math.imul(hash ^ text.charCodeAt(place), 0x01000193)
  return mix(hash)
}

/** The last step of MurmurHash3. */
export function mix(value: number): number {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** The same ones in each process: x ↦ a·x + b modulo 2³² with odd a. */
function makeFunctions() {
  const multipliers = new Int32Array(signatureLength)
  const offsets = new Int32Array(signatureLength)
  for (let place = 0; place < signatureLength; place += 1) {
    multipliers[place] = mix(2 * place + 1) | 1
    offsets[place] = mix(2 * place + 2)
  }
  return { multipliers, offsets }
}
