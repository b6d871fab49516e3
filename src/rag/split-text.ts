import { AppError } from '../errors.ts'
import type { Outlined, Section, Unit } from './extract/sections.ts'

/** Tokens of each text alone. */
export type CountTokens = (texts: readonly string[]) => Promise<readonly number[]>

export type SplitOptions = Readonly<{
  /** Tokens of one chunk at most. */
  chunkTokens: number
  /** Tokens of the embedding model's window, without those that it puts around a text. */
  windowTokens: number
  /** So many tokens of the chunk before are repeated, in whole units. Default: none. */
  overlapTokens?: number
  /** What the document is called: the outermost heading of every chunk. */
  title?: string
}>

export type Chunk = Readonly<{
  /** The document's text from `startOffset` to `endOffset`. */
  text: string
  startOffset: number
  endOffset: number
  page?: number
  lastPage?: number
  section?: string
}>

/**
 * Tokens of a chunk when nobody says otherwise. all-MiniLM-L6-v2 was trained on 128 and takes 256: so there is room for the headings above a
 * chunk, and some 150 words are about what answers one question.
 */
export const usualChunkTokens = 200
export const leastChunkTokens = 16

/** A word of a language has fewer; some tokenizers count a long word without spaces as one unknown token. */
const mostCharactersPerToken = 10
/** Texts that are counted at once. */
const batchSize = 256
/** What a cut inside a block, and inside a unit, costs against a chunk that is this part of the budget too short or too long. */
const costInBlock = 0.35
const costInUnit = 0.6

type Weighed = Unit & Readonly<{ tokens: number; beginsUnit: boolean }>

/**
 * Chunks in the order of the text, none over the budget, and all text but space is in one. Small sections that follow each other share a
 * chunk; a larger one is cut at its headings. A chunk leaves room for its headings before it in the model's window. Throws `invalid` for a budget outside of the window.
 */
export async function splitText(
  { text, sections: parts }: Outlined,
  options: SplitOptions,
  count: CountTokens,
): Promise<Chunk[]> {
  const titled = parts.map(({ path, units }) => ({ path: underTitle(path, options.title), units }))
  const { chunkTokens, windowTokens, overlapTokens = 0 } = options
  if (chunkTokens > windowTokens || chunkTokens < leastChunkTokens)
    throw new AppError(
      'invalid',
      `A chunk may have from ${leastChunkTokens} to ${windowTokens} tokens, the embedding model's window, but ${chunkTokens} were asked for.`,
    )
  const sections = await withBudgets(titled, options, count)
  // What is repeated needs its room.
  const overlapOf = (budget: number) => Math.min(overlapTokens, Math.floor(budget / 2))
  const tasks = sections.flatMap(({ section, budget }) =>
    section.units.map((unit) => ({ unit, budget: budget - overlapOf(budget) })),
  )
  const units = await weigher(text, count)(tasks)
  const chunks: Packed[] = []
  let from = 0
  const weighed = sections.map(({ section, budget }) => {
    const to = from + section.units.length
    const parts = units.slice(from, to).flat()
    from = to
    return { section, budget, units: parts }
  })
  for (const { section, budget, units: parts } of mergeSmall(weighed))
    for (const packed of packUnits(parts, budget - overlapOf(budget))) chunks.push({ section, budget, units: packed })
  const fitting = await repackLarge(chunks, text, count)
  const overlapping = overlapTokens > 0 ? await addOverlap(fitting, overlapTokens, text, count) : fitting
  return overlapping.map(({ section, units: packed }) => toChunk(text, section, packed))
}

type Packed = Readonly<{ section: Section; budget: number; units: readonly Weighed[] }>

/**
 * Neighbouring sections that fit into one chunk together, and share a heading, become one under the headings that they share: a line
 * under a heading of its own says too little to be found by. Not over a page's end, so that the page of what is found is known.
 */
function mergeSmall(sections: readonly Packed[]): Packed[] {
  const merged: Packed[] = []
  let tokens = 0
  for (const next of sections) {
    const own = next.units.reduce((sum, unit) => sum + unit.tokens, 0)
    const last = merged.at(-1)
    const path = last === undefined ? '' : sharedPath(last.section.path, next.section.path)
    const budget = Math.min(last?.budget ?? 0, next.budget)
    const isOnSamePage = last?.units.at(-1)?.page === next.units[0]?.page
    if (last !== undefined && path !== '' && isOnSamePage && tokens + own <= budget) {
      merged[merged.length - 1] = { section: { path, units: [] }, budget, units: [...last.units, ...next.units] }
      tokens += own
    } else {
      merged.push(next)
      tokens = own
    }
  }
  return merged
}

function underTitle(path: string, title = ''): string {
  if (title === '' || path === title || path.startsWith(`${title} > `)) return path
  return path === '' ? title : `${title} > ${path}`
}

function sharedPath(one: string, other: string): string {
  const [first, second] = [one.split(' > '), other.split(' > ')]
  const length = first.findIndex((heading, index) => heading !== second[index])
  return (length === -1 ? first : first.slice(0, length)).join(' > ')
}

/** A line break parts the headings from the text. */
const joint = 1

async function withBudgets(sections: readonly Section[], options: SplitOptions, count: CountTokens) {
  const headings = new Set(sections.map(({ path }) => path))
  // Where there are none above it, a chunk has all of the window.
  headings.delete('')
  const taken = new Map<string, number>()
  for (const batch of batches([...headings]))
    for (const [path, tokens] of await counted(batch, batch, count)) taken.set(path, tokens + joint)
  const least = Math.min(options.chunkTokens, leastChunkTokens)
  return sections.map((section) => {
    const room = options.windowTokens - (taken.get(section.path) ?? 0)
    return { section, budget: Math.max(least, Math.min(options.chunkTokens, room)) }
  })
}

/** Each item of a batch with the tokens of its text. */
async function counted<Item>(
  batch: readonly Item[],
  texts: readonly string[],
  count: CountTokens,
): Promise<ReadonlyArray<readonly [Item, number]>> {
  const counts = await count(texts)
  return batch.map((item, index) => {
    const { [index]: tokens = 0 } = counts
    return [item, tokens]
  })
}

type Task = Readonly<{ unit: Unit; budget: number }>

/** Gives each unit its tokens, or where it is over the budget, the parts that it is cut into. */
function weigher(text: string, count: CountTokens): (tasks: readonly Task[]) => Promise<Weighed[][]> {
  return weigh

  async function weigh(tasks: readonly Task[]): Promise<Weighed[][]> {
    const weighed: Weighed[][] = []
    for (const batch of batches(tasks)) {
      const texts = batch.map(({ unit }) => text.slice(unit.start, unit.end))
      for (const [{ unit, budget }, ownTokens] of await counted(batch, texts, count)) {
        const tokens = weightOf(unit, ownTokens)
        const parts = tokens <= budget ? [] : partsOf(text, unit, budget)
        weighed.push(parts.length > 1 ? await weighParts(parts, budget) : [{ ...unit, tokens, beginsUnit: true }])
      }
    }
    return weighed
  }

  async function weighParts(parts: readonly Unit[], budget: number): Promise<Weighed[]> {
    const found = (await weigh(parts.map((part) => ({ unit: part, budget })))).flat()
    return mergeParts(found, budget).map((part, index) => ({ ...part, beginsUnit: index === 0 }))
  }
}

/** Smaller parts of a unit that is too large: its lines, else its words, else its letters. */
function partsOf(text: string, unit: Unit, budget: number): Unit[] {
  const own = text.slice(unit.start, unit.end)
  const pattern = /\S\s*\n/.test(own) ? /\S[^\n]*/g : /\s/.test(own) ? /\S+/g : undefined
  const parts: Unit[] = []
  const add = (start: number, length: number) => {
    const trimmed = own.slice(start, start + length).trimEnd().length
    parts.push({
      ...unit,
      start: unit.start + start,
      end: unit.start + start + trimmed,
      beginsBlock: unit.beginsBlock && start === 0,
    })
  }
  if (pattern !== undefined) {
    for (const { index, 0: part } of own.matchAll(pattern)) add(index, part.length)
    return parts
  }
  // Halves in the end, where a single letter has many tokens.
  const letters = Math.max(1, Math.min(budget, Math.ceil(own.length / 2)))
  for (let start = 0; start < own.length; ) {
    const isCutPair = (own.charCodeAt(start + letters - 1) & 0xfc00) === 0xd800
    const length = letters + (isCutPair ? 1 : 0)
    add(start, length)
    start += length
  }
  return parts
}

/** Neighbours become one part again as long as they fit, so that a chunk is not packed from single words. */
function mergeParts(parts: readonly Weighed[], budget: number): Weighed[] {
  const merged: Weighed[] = []
  for (const part of parts) {
    const last = merged.at(-1)
    const together = last === undefined ? 0 : last.tokens + part.tokens
    if (last === undefined || together > budget / 4) merged.push(part)
    else merged[merged.length - 1] = { ...last, end: part.end, tokens: together }
  }
  return merged
}

function weightOf({ start, end }: Unit, tokens: number): number {
  return Math.max(1, tokens, Math.ceil((end - start) / mostCharactersPerToken))
}

/** Parts units into chunks of about the same size, each within the budget, cut between blocks where that is near. */
function packUnits(units: readonly Weighed[], budget: number): Array<readonly Weighed[]> {
  const packed: Array<readonly Weighed[]> = []
  let left = units.reduce((sum, { tokens }) => sum + tokens, 0)
  for (let from = 0; from < units.length; ) {
    const target = left / Math.ceil(left / budget)
    const to = left <= budget ? units.length : bestCut(units, from, { budget, target })
    const chunk = units.slice(from, to)
    packed.push(chunk)
    left -= chunk.reduce((sum, { tokens }) => sum + tokens, 0)
    from = to
  }
  return packed
}

function bestCut(units: readonly Weighed[], from: number, { budget, target }: { budget: number; target: number }): number {
  let best = { at: from + 1, cost: Number.POSITIVE_INFINITY }
  let sum = 0
  // None has less than a token.
  for (const [index, unit] of units.slice(from, from + budget + 1).entries()) {
    const at = from + index
    if (at > from) {
      const cost = Math.abs(sum - target) / budget + (unit.beginsBlock ? 0 : unit.beginsUnit ? costInBlock : costInUnit)
      if (cost <= best.cost) best = { at, cost }
    }
    sum += unit.tokens
    if (sum > budget) break
  }
  return best.at
}

/** A text may have more tokens than its parts alone: chunks that turn out to be over the budget are cut in halves. */
async function repackLarge(chunks: readonly Packed[], text: string, count: CountTokens): Promise<Packed[]> {
  const fitting: Packed[] = []
  for (const batch of batches(chunks)) {
    const texts = batch.map((chunk) => textOf(chunk, text))
    for (const [chunk, tokens] of await counted(batch, texts, count)) {
      if (tokens <= chunk.budget) fitting.push(chunk)
      else fitting.push(...(await repack(chunk)))
    }
  }
  return fitting

  async function repack({ section, budget, units }: Packed): Promise<Packed[]> {
    const parts =
      units.length > 1 ? units : units.flatMap((unit) => partsOf(text, unit, budget).map((part) => ({ ...unit, ...part })))
    if (parts.length === 1) return [{ section, budget, units }]
    const half = Math.ceil(parts.length / 2)
    return repackLarge(
      [parts.slice(0, half), parts.slice(half)].map((part) => ({ section, budget, units: part })),
      text,
      count,
    )
  }
}

/** Puts the end of the chunk before in front of each, where both are under the same headings and the budget allows it. */
async function addOverlap(chunks: readonly Packed[], overlapTokens: number, text: string, count: CountTokens): Promise<Packed[]> {
  const both = chunks.map((plain, index) => ({ plain, longer: withEndOf(chunks[index - 1], plain, overlapTokens) }))
  const result: Packed[] = []
  for (const batch of batches(both)) {
    const texts = batch.map(({ longer }) => textOf(longer, text))
    for (const [{ plain, longer }, tokens] of await counted(batch, texts, count))
      result.push(tokens > plain.budget ? plain : longer)
  }
  return result
}

function withEndOf(before: Packed | undefined, chunk: Packed, overlapTokens: number): Packed {
  if (before?.section !== chunk.section) return chunk
  const room = Math.min(overlapTokens, chunk.budget - chunk.units.reduce((sum, { tokens }) => sum + tokens, 0))
  const repeated: Weighed[] = []
  let sum = 0
  // Not all of it: that would be a chunk in which another one stands whole.
  for (const unit of before.units.slice(1).toReversed()) {
    sum += unit.tokens
    if (sum > room) break
    repeated.unshift(unit)
  }
  return { ...chunk, units: [...repeated, ...chunk.units] }
}

function textOf({ units }: Packed, text: string): string {
  return text.slice(units[0]?.start, units.at(-1)?.end)
}

function toChunk(text: string, { path }: Section, units: readonly Weighed[]): Chunk {
  const [first] = units
  const last = units.at(-1)
  const startOffset = first?.start ?? 0
  const endOffset = last?.end ?? startOffset
  return {
    text: text.slice(startOffset, endOffset),
    startOffset,
    endOffset,
    ...(first?.page === undefined ? {} : { page: first.page }),
    ...(last?.page === undefined ? {} : { lastPage: last.page }),
    ...(path === '' ? {} : { section: path }),
  }
}

function* batches<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < items.length; from += batchSize) yield items.slice(from, from + batchSize)
}
