import { mix, normalize, signatureLength, signatureOf, similarity } from './min-hash.ts'

/** Texts at least so similar are near-duplicates: one changed word of five letters in about 80 characters. */
export const nearDuplicateSimilarity = 0.8

/*
 * Locality-sensitive hashing (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4): texts are compared where all rows of a band
 * are equal. With 20 bands of 6, a pair of similarity s is compared with probability 1 − (1 − s⁶)²⁰: 0.998 at 0.8, 0.27 at 0.5.
 */
const bands = 20
const rowsInBand = signatureLength / bands

/** Among texts that share a band but are not alike, so many are kept to compare the next ones with. */
const mostRepresentatives = 8

export interface NearDuplicates {
  /** The text gets the next number, from 0. */
  add(text: string): void
  /**
   * Pairs of numbers, the smaller one first; whatever is alike is joined by a chain of them. What more than `mostShared` texts have in
   * common is a form that they were written in, and makes none of them alike.
   */
  findPairs(mostShared?: number): Generator<readonly [number, number]>
}

/** Keeps 480 bytes of each text, and compares a text with a bounded number of others. */
export function createNearDuplicates(): NearDuplicates {
  const signatures: Uint32Array[] = []
  return {
    // What has no letters or digits is told apart by all of its signs.
    add: (text) => void signatures.push(signatureOf(normalize(text) || text)),
    *findPairs(mostShared = Number.POSITIVE_INFINITY) {
      const isShared = findShared(signatures, mostShared)
      const areAlike = (one: number, other: number) => {
        const [first, second] = [signatures[one], signatures[other]]
        if (first === undefined || second === undefined) return false
        return similarity(first, second, (place) => isShared(one, place)) >= nearDuplicateSimilarity
      }
      for (let band = 0; band < bands; band += 1) yield* pairsOfBand(signatures, band, areAlike)
    },
  }
}

/** Tells at which places of its signature a text has the value of so many others: a gram of the form that all of them have. */
function findShared(signatures: readonly Uint32Array[], mostShared: number): (number: number, place: number) => boolean {
  if (signatures.length <= mostShared) return () => false
  const shared = new Uint8Array(signatures.length * signatureLength)
  const values = new Uint32Array(signatures.length)
  for (let place = 0; place < signatureLength; place += 1) {
    for (const [number, signature] of signatures.entries()) values[number] = signature[place] ?? 0
    const sorted = values.toSorted()
    const common = new Set<number>()
    // In order, a value that comes more often stands again so many places behind.
    for (let at = mostShared; at < sorted.length; at += 1) {
      const value = sorted[at] ?? 0
      if (value === sorted[at - mostShared]) common.add(value)
    }
    for (const [number, value] of values.entries()) if (common.has(value)) shared[number * signatureLength + place] = 1
  }
  return (number, place) => shared[number * signatureLength + place] === 1
}

function* pairsOfBand(
  signatures: readonly Uint32Array[],
  band: number,
  areAlike: (one: number, other: number) => boolean,
): Generator<readonly [number, number]> {
  // A key of 32 bits before a number below 2²⁰: sorted as floats, equal keys come together and in order.
  const keys = new Float64Array(signatures.length)
  for (const [number, signature] of signatures.entries()) keys[number] = keyOf(signature, band) * 2 ** 20 + number
  keys.sort()
  let representatives: number[] = []
  let current = -1
  for (const sorted of keys) {
    const key = Math.floor(sorted / 2 ** 20)
    const number = sorted - key * 2 ** 20
    if (key !== current) {
      current = key
      representatives = [number]
      continue
    }
    const like = representatives.find((other) => areAlike(other, number))
    if (like !== undefined) yield [like, number]
    else if (representatives.length < mostRepresentatives) representatives.push(number)
  }
}

function keyOf(signature: Uint32Array, band: number): number {
  let key = 0
  for (let row = 0; row < rowsInBand; row += 1) key = mix(key ^ (signature[band * rowsInBand + row] ?? 0)) + row
  return key >>> 0
}
