import { expect, test } from 'vitest'
import { sharesOfFolders, sharesOfModules, shortOf } from '../../bench/coverage/bars.ts'
import { withUnloaded } from '../../bench/coverage/count-tests.ts'
import { coverageOf, mergeRanges, withCode } from '../../bench/coverage/merge-ranges.ts'

const counted = (...ranges: ReadonlyArray<readonly [number, number, number]>) =>
  ranges.map(([startOffset, endOffset, count]) => ({ startOffset, endOffset, count }))
const [whole, first, second] = [[0, 100, 3] as const, [10, 20, 0] as const, [30, 40, 0] as const]

test('a branch that ran in one of several processes counts as run, and one that ran in none is told', () => {
  const coverage = (...processes: ReturnType<typeof counted>[]) => coverageOf(mergeRanges(processes))
  expect(coverage(counted(whole, first, second))).toEqual({ branches: 3, covered: 1, missed: [10, 30] })
  expect(coverage(counted(whole, first, second), counted(whole, second))).toEqual({ branches: 3, covered: 2, missed: [30] })
  expect(coverage(counted([0, 100, 0]))).toEqual({ branches: 1, covered: 0, missed: [0] })
  expect(coverage(counted(whole), [])).toEqual({ branches: 1, covered: 1, missed: [] })
})

test('a gap without code is no branch, and an empty list is one', () => {
  const text = 'try {a()} finally {b ?? []}'
  const ranges = counted([0, text.length, 1], [9, 10, 0], [21, 26, 0])
  expect(withCode(ranges, text)).toEqual(counted([0, text.length, 1], [21, 26, 0]))
})

test('what is merged piece by piece is what is merged at once', () => {
  const processes = [
    counted(whole, first, second),
    counted(whole, second),
    counted([0, 100, 1], [5, 45, 0]),
    counted([0, 100, 0]),
    counted([0, 100, 1], [5, 45, 2], [30, 40, 4]),
  ]
  const sorted = (ranges: ReturnType<typeof mergeRanges>) =>
    ranges.toSorted((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset)
  const inPieces = mergeRanges([mergeRanges(processes.slice(0, 2)), mergeRanges(processes.slice(2))])
  expect(sorted(inPieces)).toEqual(sorted(mergeRanges(processes)))
})

test('a module below all of its branches falls short, and so does a folder below nine of ten', async () => {
  const blocks = (ran: number, others: number) =>
    counted(...Array.from({ length: ran + others }, (_, at) => [at, at + 1, at < ran ? 1 : 0] as const))
  const counts = new Map([
    ['src/auth/guard.ts', blocks(99, 1)],
    ['src/predict/cache.ts', blocks(10, 0)],
    ['src/predict/deep/other.ts', blocks(80, 10)],
    ['src/app.ts', blocks(8, 2)],
  ])
  const [modules, folders] = [sharesOfModules(counts), sharesOfFolders(counts)]
  expect(folders.map(({ name, covered, branches }) => `${name} ${covered}/${branches}`)).toEqual([
    'src 8/10',
    'src/auth 99/100',
    'src/predict 90/100',
  ])
  expect(shortOf({ modules, folders }).map(({ name }) => name)).toEqual(['accounts (auth)', 'src'])
})

test('a file that no test loads has not run, unless it holds nothing but types', async () => {
  const counts = await withUnloaded(new Map([['src/errors.ts', counted(whole)]]))
  expect(counts.get('src/errors.ts')).toEqual(counted(whole))
  expect(counts.get('src/app.ts')).toMatchObject([{ startOffset: 0, count: 0 }])
  expect(counts.has('src/embed/collection.ts')).toBe(false)
})
