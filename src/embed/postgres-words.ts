import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../storage/tables.ts'
import { inverseFrequency, lengthInfluence, saturation, sequenceFrequency, termScore, type WordPlaces } from './bm25.ts'
import type { WordTerm } from './word-query.ts'

/** Passages of a term that are counted, and taken as candidates: a term that is in more counts as if it were in so many. */
const mostHolding = 20_000
/** Passages that hold the words of a phrase in which they are looked for side by side, to say how many of all do. */
const phraseSample = 200
/** Candidates for each passage that is wanted, and at least. */
const candidatesPerHit = 4
const fewestCandidates = 200

export type WordRanking = Readonly<{
  collectionId: string
  terms: readonly WordTerm[]
  /** On the passages. */
  condition: RawBuilder<unknown> | undefined
  k: number
}>

export type RankedPassage = Readonly<{ id: number; score: number }>

/**
 * Ranks the passages of a collection by BM25. PostgreSQL's own ranks know nothing of how rare a word is, so the index gives what BM25 needs:
 * in how many passages each term is, then the candidates that would be best if each term that they hold were there once, and of these
 * where the words stand, from which the exact scores are computed.
 *
 * It differs from FTS5 in this: rare and usual are what they are in the collection, not in the whole database; the few hundred candidates
 * are all that is scored; terms that are in more than some thousand passages count as if they were in so many, and in how many a phrase
 * is may be an estimate; words are cut at what Unicode's compatible decomposition and PostgreSQL's parser say; a word is counted 256
 * times in a passage at most.
 */
export async function rankByWords(
  db: Database,
  { collectionId, terms, condition, k }: WordRanking,
): Promise<readonly RankedPassage[]> {
  const sequences = await readSequences(db, terms)
  if (sequences.length === 0) return []
  const counted = await count(db, collectionId, sequences)
  if (counted === undefined) return []
  const { passages, averageLength } = counted
  const weighed = counted.holding.map(({ sequence, holding }) => ({
    sequence,
    holding,
    idf: inverseFrequency(passages, holding),
  }))
  const found = (given: readonly Weighed[]) =>
    findCandidates(db, { collectionId, terms: weighed, finding: given, averageLength, condition, k })
  const rare = rarest(weighed)
  let candidates = await found(rare)
  if (candidates.length < k && rare.length < weighed.length) candidates = await found(weighed)
  return candidates
    .map(({ id, length, words }) => ({ id, score: scoreOf(words, weighed, length / averageLength) }))
    .filter(({ score }) => score > 0)
    .sort((one, other) => other.score - one.score || one.id - other.id)
    .slice(0, k)
}

/** Words as the index has them, side by side. */
type Sequence = Readonly<{ lexemes: readonly string[]; isPrefix: boolean }>
type Weighed = Readonly<{ sequence: Sequence; holding: number; idf: number }>

/** The database says how its words look, as it did for the index. */
async function readSequences(db: Database, terms: readonly WordTerm[]): Promise<readonly Sequence[]> {
  const given = [...new Set(terms.flatMap(({ words }) => words))]
  const { rows } = await sql<{ word: string; lexemes: readonly string[] }>`
    select given.word, array_agg(found.lexeme order by found.positions[1]) as lexemes
    from unnest(${given}::text[]) as given(word) cross join lateral unnest(simpleia_words(given.word)) as found
    group by given.word`.execute(db)
  const lexemesOf = new Map(rows.map(({ word, lexemes }) => [word, lexemes]))
  return terms.flatMap(({ words, isPrefix }) => {
    const lexemes = words.flatMap((word) => lexemesOf.get(word) ?? [])
    return lexemes.length === 0 ? [] : [{ lexemes, isPrefix }]
  })
}

type Counted = Readonly<{
  passages: number
  averageLength: number
  holding: ReadonlyArray<Readonly<{ sequence: Sequence; holding: number }>>
}>

/** In how many passages each is, without those that are in none. */
async function count(db: Database, collectionId: string, sequences: readonly Sequence[]): Promise<Counted | undefined> {
  const queries = sequences.map((sequence) => queryOf(collectionId, sequence, ' & '))
  const phrases = sequences.map((sequence) => (sequence.lexemes.length > 1 ? queryOf(collectionId, sequence, ' <-> ') : null))
  const { rows } = await sql<{ number: number; holding: number; sampled: number; passages: number; length: number }>`
    select
      (terms.number - 1) as number,
      (select count(*) from (select 1 from passage_words where words @@ terms.query limit ${mostHolding}) as held) as holding,
      (select count(*) from (select words from passage_words where words @@ terms.query limit ${phraseSample}) as held
        where held.words @@ terms.phrase) as sampled,
      known.passages, known.length
    from unnest(${queries}::tsquery[], ${phrases}::tsquery[]) with ordinality as terms(query, phrase, number)
    join collection_words as known on known.collection_id = ${collectionId}`.execute(db)
  const [first] = rows
  if (first === undefined || first.passages === 0) return undefined
  const holding = rows.flatMap(({ number, holding: all, sampled }) => {
    const sequence = sequences[number]
    if (sequence === undefined || all === 0) return []
    const isPhrase = sequence.lexemes.length > 1
    // At least one: the few that were looked into need not be those that have it.
    const held = isPhrase ? Math.max(all > phraseSample ? 1 : 0, (sampled * all) / Math.min(all, phraseSample)) : all
    return held === 0 ? [] : [{ sequence, holding: held }]
  })
  return { passages: first.passages, averageLength: first.length / first.passages, holding }
}

function queryOf(collectionId: string, { lexemes, isPrefix }: Sequence, between: ' & ' | ' <-> '): string {
  const words = lexemes.map((lexeme, index) => `${quote(lexeme)}${isPrefix && index === lexemes.length - 1 ? ':*' : ''}`)
  return `${quote(collectionId)} & (${words.join(between)})`
}

const quote = (lexeme: string) => `'${lexeme.replaceAll(/['\\]/g, '$&$&')}'`

/** The rarest terms, as long as they are in no more passages than can be looked at. */
function rarest(terms: readonly Weighed[]): readonly Weighed[] {
  let sum = 0
  return terms
    .toSorted((one, other) => one.holding - other.holding)
    .filter(({ holding }, index) => {
      sum += holding
      return index === 0 || sum <= mostHolding
    })
}

type Candidate = Readonly<{ id: number; length: number; words: ReadonlyMap<string, WordPlaces> }>

type CandidateQuery = Readonly<{
  collectionId: string
  terms: readonly Weighed[]
  /** The terms of which a candidate must hold one. */
  finding: readonly Weighed[]
  averageLength: number
  condition: RawBuilder<unknown> | undefined
  k: number
}>

type Row = Readonly<{
  passageId: number
  length: number
  lexeme: string
  positions: readonly number[]
  weights: readonly string[]
}>

async function findCandidates(db: Database, query: CandidateQuery): Promise<readonly Candidate[]> {
  const { collectionId, terms, finding, averageLength, condition, k } = query
  // No phrase is without its words.
  const single = finding.filter(({ sequence }) => sequence.lexemes.length === 1)
  const those = single.length > 0 ? single : finding
  const queries = those.map(({ sequence }) => queryOf(collectionId, sequence, ' & '))
  const wanted = Math.max(fewestCandidates, candidatesPerHit * k)
  const norm = sql`(1 + ${saturation}::float8 * (1 - ${lengthInfluence}::float8 + ${lengthInfluence}::float8 * found.length / ${averageLength}::float8))`
  const exact = terms.flatMap(({ sequence }) => (sequence.isPrefix ? sequence.lexemes.slice(0, -1) : sequence.lexemes))
  const beginnings = terms.flatMap(({ sequence }) => (sequence.isPrefix ? [`${sequence.lexemes.at(-1)}%`] : []))
  const { rows } = await sql<Row>`
    with found as materialized (
      select held.passage_id, held.length, sum(terms.idf) as idf
      from unnest(${queries}::tsquery[], ${those.map(({ idf }) => idf)}::float8[]) as terms(query, idf)
      cross join lateral (
        select passage_id, length from passage_words where words @@ terms.query limit ${mostHolding}
      ) as held
      group by held.passage_id, held.length
    ), candidates as materialized (
      select found.passage_id, found.length from found
      ${condition === undefined ? sql`` : sql`join passages on passages.id = found.passage_id where ${condition}`}
      order by found.idf / ${norm} desc, found.passage_id limit ${wanted}
    )
    select candidates.passage_id, candidates.length, word.lexeme, word.positions, word.weights
    from candidates
    join passage_words on passage_words.passage_id = candidates.passage_id
    cross join lateral unnest(passage_words.words) as word
    where word.lexeme = any(${exact}::text[]) or word.lexeme like any(${beginnings}::text[])`.execute(db)
  return toCandidates(rows)
}

function toCandidates(rows: readonly Row[]): readonly Candidate[] {
  const candidates = new Map<number, Candidate & { words: Map<string, WordPlaces> }>()
  for (const { passageId: id, length, lexeme, positions, weights } of rows) {
    const candidate = candidates.get(id) ?? { id, length, words: new Map<string, WordPlaces>() }
    candidate.words.set(lexeme, { places: positions, isHeading: weights.map((weight) => weight === 'A') })
    candidates.set(id, candidate)
  }
  return [...candidates.values()]
}

function scoreOf(words: ReadonlyMap<string, WordPlaces>, terms: readonly Weighed[], relativeLength: number): number {
  return terms.reduce((sum, { sequence: { lexemes, isPrefix }, idf }) => {
    const sequence = lexemes.map((lexeme, index) => {
      if (isPrefix && index === lexemes.length - 1)
        return [...words].flatMap(([word, places]) => (word.startsWith(lexeme) ? [places] : []))
      const places = words.get(lexeme)
      return places === undefined ? [] : [places]
    })
    const frequency = sequenceFrequency(sequence)
    return frequency === 0 ? sum : sum + termScore(idf, frequency, relativeLength)
  }, 0)
}
