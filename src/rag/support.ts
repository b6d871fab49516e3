import { dot } from '../engine/local/vector-codes.ts'
import { type Sentence, withoutCitations } from './citations.ts'

/** A sentence of an answer, and what speaks for it. */
export type CheckedSentence = Sentence &
  Readonly<{
    /** Whether a source says it: one that it cites, or any where it cites none. Undefined where it could not be checked. */
    supported: boolean | undefined
    /** How near the nearest sentence of those sources is, as a cosine. */
    support: number
    /** The source with that sentence. */
    nearest: number | undefined
  }>

export type SupportParts = Readonly<{
  /** One vector of unit length for each text. */
  encode(texts: readonly string[]): Promise<readonly Float32Array[]>
}>

/** A sentence that means the same as one of a source reaches this with sentence embeddings; one that only shares its topic does not. */
const nearCosine = 0.6
/** So much of its words a sentence may take from a source without being near one of its sentences: it sums several up. */
const coveredShare = 0.7
/** The most sentences of the sources that are compared. */
const mostSourceSentences = 400

type SourceSentence = Readonly<{ number: number; text: string }>

/**
 * Checks each sentence of an answer against the sources: it is supported where a source has a sentence that means about the same, or
 * most of its words, and all of its numbers. This sees what was made up; it does not prove what is said, and is blind to a "not".
 * `sources` are numbered from 1 in their order.
 */
export async function checkSupport(
  { encode }: SupportParts,
  sentences: readonly Sentence[],
  sources: readonly string[],
): Promise<readonly CheckedSentence[]> {
  if (sentences.length === 0 || sources.length === 0)
    return sentences.map((sentence) => ({ ...sentence, supported: false, support: 0, nearest: undefined }))
  const said = sources.flatMap(splitSource).slice(0, mostSourceSentences)
  const vectors = await encode([...sentences, ...said].map(({ text }) => withoutCitations(text)))
  return sentences.map((sentence, index) => {
    const cited = new Set(sentence.citations.map(({ number }) => number))
    const isAsked = (number: number) => cited.size === 0 || cited.has(number)
    const nearest = said
      .map(({ number }, row) => ({ number, near: compare(vectors[index], vectors[sentences.length + row]) }))
      .filter(({ number }) => isAsked(number))
      .reduce<Readonly<{ number: number; near: number }> | undefined>(
        (best, one) => (best === undefined || one.near > best.near ? one : best),
        undefined,
      )
    const text = withoutCitations(sentence.text)
    const supported = sources.some((source, place) => isAsked(place + 1) && speaksFor(source, text, nearest, place + 1))
    return { ...sentence, supported, support: Math.max(0, nearest?.near ?? 0), nearest: nearest?.number }
  })
}

const compare = (one: Float32Array | undefined, other: Float32Array | undefined) =>
  one === undefined || other === undefined ? 0 : dot(one, other, 0)

function speaksFor(
  source: string,
  sentence: string,
  nearest: Readonly<{ number: number; near: number }> | undefined,
  number: number,
): boolean {
  const words = new Set(wordsOf(source))
  if (!numbersOf(sentence).every((one) => words.has(one))) return false
  if (nearest?.number === number && nearest.near >= nearCosine) return true
  // Short words are those that every text has.
  const telling = wordsOf(sentence).filter((word) => word.length > 3)
  return telling.length > 0 && telling.filter((word) => words.has(word)).length / telling.length >= coveredShare
}

function splitSource(source: string, index: number): readonly SourceSentence[] {
  return [...new Intl.Segmenter(undefined, { granularity: 'sentence' }).segment(source)].flatMap(({ segment }) => {
    const text = withoutCitations(segment)
    return text === '' ? [] : [{ number: index + 1, text: text.slice(0, 1000) }]
  })
}

/** In lower case and without accents. */
function wordsOf(text: string): readonly string[] {
  const plain = text.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase()
  return plain.match(/[\p{L}\p{N}]+/gu) ?? []
}

const numbersOf = (text: string) => wordsOf(text).filter((word) => /^\p{N}+$/u.test(word))
