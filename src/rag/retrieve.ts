import type {
  Collection,
  FoundPassage,
  Passage,
  PassagePlace,
  PassageQuery,
  PassageSearch,
  Passages,
} from '../embed/collection.ts'
import type { Reranker } from '../engine/embedder.ts'
import { diversify } from './diversify.ts'
import { fuseRankings, type Ranking } from './fuse-rankings.ts'
import { joinChunks, toRuns } from './join-chunks.ts'

/** `hybrid` asks both; the others are there to compare. */
export type RetrievalMode = 'hybrid' | 'vector' | 'words'

export type RetrieveRequest = Readonly<{
  collection: Collection
  /** The question, in one or several wordings. */
  queries: readonly [string, ...string[]]
  mode: RetrievalMode
  /** How many sources at most. */
  k: number
  filter: PassageQuery['filter']
  reranker: Reranker | undefined
  /** Characters that the sources may have together. */
  mostCharacters: number
}>

/** A part of a document (or a text that was added as it is) that goes before the model. */
export type Source = Readonly<{
  /** From 1: what citations refer to. */
  number: number
  documentId: string | undefined
  /** Of the passage that was found. */
  itemId: string
  /** What the document is called, and where it came from. */
  name: string
  origin: string
  place: PassagePlace
  text: string
  metadata: Passage['metadata']
  /** What the order follows: the sum of reciprocal ranks, or what the reranker says. */
  score: number
  /** Of the question and the passage; undefined where only its words were found. */
  cosine: number | undefined
}>

export type DropReason = 'duplicate' | 'beyond_k' | 'no_room'

export type Retrieval = Readonly<{
  sources: readonly Source[]
  /** The best cosine of a passage and a wording of the question; undefined when nothing was compared. */
  bestCosine: number | undefined
  /** What each search found, best first. */
  found: readonly Readonly<{ by: 'vector' | 'words'; query: string; passages: readonly FoundPassage[] }>[]
  /** In the order of their score. */
  fused: readonly Readonly<{ itemId: string; score: number }>[]
  dropped: readonly Readonly<{ itemId: string; reason: DropReason }>[]
}>

export type RetrieveParts = Readonly<{ search: PassageSearch; passages: Pick<Passages, 'findDocument' | 'listChunks'> }>

/** Passages that each search gives to the fusion, as many as may be asked for. */
const searchDepth = 50
/** The best of the fusion, at least, which a reranker reads and which are made diverse. */
const fusedDepth = 30

export type Retrieve = (request: RetrieveRequest, signal: AbortSignal) => Promise<Retrieval>

/**
 * Finds the sources of an answer: by meaning and by words, fused by rank, read again by a reranker where one is given, without
 * near-duplicates, neighbours joined, as many as there is room for.
 */
export function createRetrieve(parts: RetrieveParts): Retrieve {
  return async (request, signal) => {
    const found = await searchAll(parts.search, request, signal)
    const depth = Math.max(fusedDepth, request.k)
    const fused = fuseRankings(found.map(toRanking)).slice(0, depth)
    const ranked = await rerank(request, fused, signal)
    const vectors = await parts.search.vectorsOf(
      request.collection,
      ranked.map(({ item }) => item.id),
    )
    const { chosen, duplicates } = diversify(
      ranked.map((hit) => ({ item: hit, relevance: hit.score, vector: vectors.get(hit.item.id) })),
      depth,
    )
    const cosines = bestCosines(found)
    const { kept, beyond } = joinNeighbours(chosen, request.k)
    const { sources, left } = await toSources(parts, request, kept, cosines)
    return {
      sources,
      bestCosine: cosines.size === 0 ? undefined : Math.max(...cosines.values()),
      found,
      fused: fused.map(({ item, score }) => ({ itemId: item.itemId, score })),
      dropped: [
        ...duplicates.map(({ item }) => ({ itemId: item.itemId, reason: 'duplicate' as const })),
        ...beyond.map(({ item }) => ({ itemId: item.itemId, reason: 'beyond_k' as const })),
        ...left.map(({ item }) => ({ itemId: item.itemId, reason: 'no_room' as const })),
      ],
    }
  }
}

type Found = Retrieval['found'][number]
type Hit = Readonly<{ item: FoundPassage; score: number }>

/** Of each passage and the wording that it is nearest to. */
function bestCosines(found: readonly Found[]): ReadonlyMap<number, number> {
  const best = new Map<number, number>()
  for (const { by, passages } of found) {
    if (by !== 'vector') continue
    for (const { id, score } of passages) best.set(id, Math.max(score, best.get(id) ?? -1))
  }
  return best
}

async function searchAll(search: PassageSearch, request: RetrieveRequest, signal: AbortSignal): Promise<readonly Found[]> {
  const { collection, mode, filter } = request
  const searches = request.queries.flatMap((query) => {
    const asked = { text: query, k: searchDepth, truncate: true, ...(filter === undefined ? {} : { filter }) }
    return [
      ...(mode === 'words'
        ? []
        : [search.byVector(collection, asked, signal).then((passages) => ({ by: 'vector' as const, query, passages }))]),
      ...(mode === 'vector'
        ? []
        : [search.byWords(collection, asked).then((passages) => ({ by: 'words' as const, query, passages }))]),
    ]
  })
  return Promise.all(searches)
}

/** Words alone find less than meaning, and what only they find is more often beside the point (docs/rag.md). */
const weights = { vector: 1, words: 0.5 } as const

const toRanking = ({ by, passages }: Found): Ranking<FoundPassage> => ({ items: passages, weight: weights[by] })

async function rerank(
  { reranker, queries }: RetrieveRequest,
  hits: readonly Hit[],
  signal: AbortSignal,
): Promise<readonly Hit[]> {
  if (reranker === undefined || hits.length === 0) return hits
  const { scores } = await reranker.rerank({ query: queries[0], texts: hits.map(({ item }) => item.text) }, signal)
  return hits
    .map(({ item }, index) => ({ item, score: scores[index] ?? Number.NEGATIVE_INFINITY }))
    .sort((one, other) => other.score - one.score || one.item.id - other.item.id)
}

/** Hits of one document that follow each other; the first is the best. */
type Group = [Hit, ...Hit[]]

const areNeighbours = (one: Hit, other: Hit) =>
  one.item.documentId !== undefined &&
  one.item.documentId === other.item.documentId &&
  Math.abs(one.item.position - other.item.position) <= 1

/**
 * As many groups as sources are wanted. Each is of another document as long as there are others: five parts of one document tell less
 * than the best part of five. What comes next in the order fills up what is left.
 */
function joinNeighbours(hits: readonly Hit[], k: number): Readonly<{ kept: readonly Group[]; beyond: readonly Hit[] }> {
  const groups: Group[] = []
  for (const hit of hits) {
    const group = groups.find((members) => members.some((member) => areNeighbours(member, hit)))
    if (group === undefined) groups.push([hit])
    else group.push(hit)
  }
  const seen = new Set<string>()
  const firsts = groups.filter(
    ([{ item }]) => item.documentId === undefined || (!seen.has(item.documentId) && seen.add(item.documentId)),
  )
  const kept = [...firsts, ...groups.filter((group) => !firsts.includes(group))].slice(0, k)
  return { kept, beyond: groups.filter((group) => !kept.includes(group)).flat() }
}

/** The groups as sources, best first, as long as there is room; the best one is there even where it has to be shortened. */
async function toSources(
  { passages }: RetrieveParts,
  { collection, mostCharacters }: RetrieveRequest,
  groups: readonly Group[],
  cosines: ReadonlyMap<number, number>,
): Promise<Readonly<{ sources: readonly Source[]; left: readonly Hit[] }>> {
  const sources: Source[] = []
  const left: Hit[] = []
  let characters = 0
  for (const group of groups) {
    const [{ item, score }] = group
    const joined = joinChunks(await completed(passages, group))
    if (sources.length > 0 && characters + joined.text.length > mostCharacters) {
      left.push(...group)
      continue
    }
    characters += joined.text.length
    const document = item.documentId === undefined ? undefined : await passages.findDocument(collection, { id: item.documentId })
    const near = group.flatMap((hit) => cosines.get(hit.item.id) ?? [])
    sources.push({
      number: sources.length + 1,
      documentId: item.documentId,
      itemId: item.itemId,
      name: document?.name ?? item.itemId,
      origin: document?.source ?? item.itemId,
      place: joined.place,
      text: joined.text,
      metadata: item.metadata,
      score,
      cosine: near.length === 0 ? undefined : Math.max(...near),
    })
  }
  return { sources, left }
}

/** The chunks of a group from its first to its last, with one that lies between two of them. */
async function completed(passages: RetrieveParts['passages'], group: Group): Promise<readonly [Passage, ...Passage[]]> {
  const [best] = group
  const { documentId } = best.item
  if (documentId === undefined || group.length === 1) return [best.item]
  const run = toRuns(group.map(({ item }) => item.position)).find((positions) => positions.includes(best.item.position))
  const [first, ...others] = await passages.listChunks(documentId, {
    from: run?.[0] ?? best.item.position,
    to: run?.at(-1) ?? best.item.position,
  })
  // Gone meanwhile: what was found is still what was found.
  return first === undefined ? [best.item] : [first, ...others]
}
