import { expect, test } from 'vitest'
import type { TokenRow } from '../../src/engine/train/example-tokens.ts'
import { judgeParity, parityRows, parityTolerance } from '../../src/engine/train/parity.ts'

const rowOf = (length: number): TokenRow => ({ tokens: new Int32Array(length), places: Int32Array.of(1) })

test('the ends of the longest rows are compared, as far as 256 targets', () => {
  const rows = parityRows([10, 900, 70, 70, 70, 70, 30].map(rowOf))
  expect(rows.map(({ tokens }) => tokens.length)).toEqual([900, 70, 70, 70])
  expect(rows.map(({ places }) => [places.length, places[0], places.at(-1)])).toEqual([
    [64, 836, 899],
    [64, 6, 69],
    [64, 6, 69],
    [64, 6, 69],
  ])
  expect(parityRows([rowOf(3)]).map(({ places }) => [...places])).toEqual([[1, 2]])
})

test('where there are few examples, other texts are compared too', () => {
  const lengthsOf = (rows: readonly TokenRow[]) => rows.map(({ tokens }) => tokens.length)
  expect(lengthsOf(parityRows([3, 9].map(rowOf), [8, 30].map(rowOf)))).toEqual([9, 3, 30, 8])
  expect(lengthsOf(parityRows([70, 70, 70, 70].map(rowOf), [rowOf(900)]))).toEqual([70, 70, 70, 70])
})

test('fewer bits may be further apart, and few targets too', () => {
  const names = ['all F32', 'F16', 'BF16', 'Q8_0', 'Q6_K', 'Q4_K - Medium', 'Q2_K - Medium', 'IQ3_XXS - 3.0625 bpw']
  expect(names.map((name) => parityTolerance(name, 256))).toEqual([0.005, 0.005, 0.005, 0.005, 0.015, 0.015, 0.03, 0.03])
  expect(parityTolerance('F16', 8)).toBe(0.005)
  expect(parityTolerance('Q8_0', 32)).toBeCloseTo(0.01)
  expect(parityTolerance('Q4_K - Medium', 6)).toBeCloseTo(0.069)
})

test('a difference beyond that is refused with both numbers', () => {
  const reference = { loss: 3, targets: 256 }
  expect(judgeParity(3.01, reference, 'F16')).toEqual({ ours: 3.01, reference: 3, tolerance: 0.005 })
  const refused = expect.objectContaining({ code: 'invalid', message: expect.stringMatching(/3\.0200.*3\.0000.*F16.*0\.5 %/) })
  expect(() => judgeParity(3.02, reference, 'F16')).toThrow(refused)
  expect(() => judgeParity(Number.NaN, reference, 'F16')).toThrow()
})
