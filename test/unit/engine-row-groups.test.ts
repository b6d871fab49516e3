import { describe, expect, test } from 'vitest'
import { mayBeRepacked, missingToGroup, withOutputs } from '../../src/engine/local/row-groups.ts'

const x86 = { architecture: 'x64', features: 'CPU : AVX2 = 1 | AVX512 = 1 | LLAMAFILE = 1 | REPACK = 1 | ' }
const amx = { ...x86, features: `${x86.features}AMX_INT8 = 1 | ` }
const arm = { architecture: 'arm64', features: 'CPU : NEON = 1 | ARM_FMA = 1 | DOTPROD = 1 | REPACK = 1 | ' }

describe('whether scores may come from a repacked matrix', () => {
  test.each([
    ['Q4_K', x86, true],
    ['Q4_0', x86, true],
    ['Q6_K', x86, false],
    ['Q8_0', x86, false],
    ['F16', x86, false],
    ['Q8_0', amx, true],
    ['Q8_0', arm, true],
    ['Q6_K', arm, true],
    ['BF16', arm, false],
    // A file that does not say it.
    [undefined, x86, true],
  ])('of type %s on %o: %s', (type, processor, expected) => {
    expect(mayBeRepacked(type, processor)).toBe(expected)
  })
})

test('a batch is filled up to whole groups', () => {
  expect([0, 1, 2, 3, 4, 5, 59, 60].map(missingToGroup)).toEqual([0, 3, 2, 1, 0, 3, 1, 0])
})

test('rows get scores as many as are wanted, the last ones first, and none loses them', () => {
  const rows = [true, false, false, true, false].map((output, position) => ({ token: 7, position, sequence: 0, output }))
  const outputs = (count: number) => withOutputs(rows, count).map(({ output }) => output)
  expect(outputs(0)).toEqual([true, false, false, true, false])
  expect(outputs(2)).toEqual([true, false, true, true, true])
  expect(outputs(9)).toEqual([true, true, true, true, true])
  expect(withOutputs(rows, 2).map(({ position }) => position)).toEqual([0, 1, 2, 3, 4])
})
