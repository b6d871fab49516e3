import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Passage } from '../../src/embed/collection.ts'
import { diversify } from '../../src/rag/diversify.ts'
import { fuseRankings } from '../../src/rag/fuse-rankings.ts'
import { joinChunks, toRuns } from '../../src/rag/join-chunks.ts'

const items = (...ids: number[]) => ids.map((id) => ({ id }))

test('what both rankings have near the top wins over what one has at its top', () => {
  const fused = fuseRankings([
    { items: items(1, 2, 3), weight: 1 },
    { items: items(4, 2, 5), weight: 1 },
  ])
  expect(fused.map(({ item }) => item.id)).toEqual([2, 1, 4, 3, 5])
  expect(fused[0]?.score).toBeCloseTo(2 / 22)
})

test('a fusion has each item once, best first, whatever the order of its rankings', () => {
  const ranking = fc.uniqueArray(fc.nat(30), { maxLength: 20 }).map((ids) => ({ items: items(...ids), weight: 1 }))
  fc.assert(
    fc.property(fc.array(ranking, { maxLength: 4 }), (rankings) => {
      const fused = fuseRankings(rankings)
      expect(new Set(fused.map(({ item }) => item.id)).size).toBe(fused.length)
      const other = fuseRankings(rankings.toReversed())
      expect(other.map(({ item }) => item.id)).toEqual(fused.map(({ item }) => item.id))
    }),
  )
})

const unit = (...values: number[]) => Float32Array.from(values, (value) => value / Math.hypot(...values))

test('of two that say the same the more relevant is chosen, and the other named as a duplicate', () => {
  const { chosen, duplicates } = diversify(
    [
      { item: 'copy', relevance: 0.9, vector: unit(1, 0.01) },
      { item: 'first', relevance: 1, vector: unit(1, 0) },
      { item: 'other', relevance: 0.5, vector: unit(0, 1) },
    ],
    3,
  )
  expect(chosen).toEqual(['first', 'other'])
  expect(duplicates).toEqual(['copy'])
})

test('something new goes before something alike that is a little more relevant', () => {
  const { chosen } = diversify(
    [
      { item: 'first', relevance: 1, vector: unit(1, 0) },
      { item: 'alike', relevance: 0.6, vector: unit(1, 0.4) },
      { item: 'new', relevance: 0.55, vector: unit(0, 1) },
      { item: 'last', relevance: 0, vector: unit(0.5, 1) },
    ],
    2,
  )
  expect(chosen).toEqual(['first', 'new'])
})

test('without vectors, relevance alone decides', () => {
  const candidates = [3, 1, 2].map((relevance) => ({ item: relevance, relevance, vector: undefined }))
  expect(diversify(candidates, 2).chosen).toEqual([3, 2])
})

const chunk = (position: number, text: string, startOffset: number): Passage => ({
  id: position,
  itemId: `d#${position}`,
  documentId: 'd',
  position,
  text,
  metadata: {},
  place: { startOffset, endOffset: startOffset + text.length, page: position + 1, lastPage: position + 1 },
})

test('chunks that share words are joined without saying them twice', () => {
  const whole = 'One two three. Four five. Six seven.'
  const joined = joinChunks([chunk(0, whole.slice(0, 25), 0), chunk(1, whole.slice(15), 15)])
  expect(joined.text).toBe(whole)
  expect(joined.place).toMatchObject({ page: 1, lastPage: 2, startOffset: 0, endOffset: whole.length })
})

test('runs are the stretches without a gap', () => {
  expect(toRuns([7, 2, 3, 3, 9, 8])).toEqual([
    [2, 3],
    [7, 8, 9],
  ])
})
