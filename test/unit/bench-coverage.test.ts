import { expect, test } from 'vitest'
import { mergeRanges } from '../../bench/coverage/merge-ranges.ts'

const script = (...ranges: ReadonlyArray<readonly [number, number, number]>) => ({
  url: 'file:///a.ts',
  functions: [
    { functionName: 'f', ranges: ranges.map(([startOffset, endOffset, count]) => ({ startOffset, endOffset, count })) },
  ],
})

test('a branch that ran in one of several processes counts as run, and one that ran in none is told', () => {
  const [whole, first, second] = [[0, 100, 3] as const, [10, 20, 0] as const, [30, 40, 0] as const]
  expect(mergeRanges([script(whole, first, second)])).toEqual({ branches: 3, covered: 1, missed: [10, 30] })
  expect(mergeRanges([script(whole, first, second), script(whole, second)])).toEqual({ branches: 3, covered: 2, missed: [30] })
  expect(mergeRanges([script([0, 100, 0])])).toEqual({ branches: 1, covered: 0, missed: [0] })
})
