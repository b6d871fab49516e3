import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bootstrapRatio, signTest, wilson } from '../../src/statistics.ts'

describe("Wilson's interval", () => {
  test('is that of published examples', () => {
    // Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3.
    const published = [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
      [1, 29, 0.0061, 0.1718],
    ] as const
    for (const [successes, trials, low, high] of published) {
      const interval = wilson(successes, trials)
      expect(interval.low).toBeCloseTo(low, 4)
      expect(interval.high).toBeCloseTo(high, 4)
    }
  })

  test('holds the share, stays between 0 and 1, and mirrors', () => {
    const counts = fc
      .integer({ min: 0, max: 2000 })
      .chain((trials) => fc.tuple(fc.integer({ min: 0, max: trials }), fc.constant(trials)))
    fc.assert(
      fc.property(counts, ([successes, trials]) => {
        const { low, high } = wilson(successes, trials)
        const mirrored = wilson(trials - successes, trials)
        expect(low).toBeGreaterThanOrEqual(0)
        expect(high).toBeLessThanOrEqual(1)
        expect(low).toBeCloseTo(1 - mirrored.high, 10)
        if (trials === 0) return
        expect(low).toBeLessThanOrEqual(successes / trials)
        expect(high).toBeGreaterThanOrEqual(successes / trials)
      }),
    )
  })

  test('narrows with the trials', () => {
    const width = (trials: number) => wilson(trials / 2, trials).high - wilson(trials / 2, trials).low
    expect([10, 100, 1000].map(width).every((value, index, all) => index === 0 || value < (all[index - 1] ?? 0))).toBe(true)
  })
})

describe('the ratio of two sums', () => {
  const pairs = fc.array(fc.tuple(fc.double({ min: 0.1, max: 10, noNaN: true }), fc.double({ min: 0.1, max: 10, noNaN: true })), {
    minLength: 1,
    maxLength: 20,
  })

  test('lies in its interval for values that are all alike, and is the same each time', () => {
    fc.assert(
      fc.property(pairs, (given) => {
        const estimate = bootstrapRatio(given)
        expect(bootstrapRatio(given)).toEqual(estimate)
        expect(estimate.low).toBeLessThanOrEqual(estimate.high)
        const ratios = given.map(([above, below]) => above / below)
        expect(estimate.low).toBeGreaterThanOrEqual(Math.min(...ratios) - 1e-9)
        expect(estimate.high).toBeLessThanOrEqual(Math.max(...ratios) + 1e-9)
      }),
      { numRuns: 30 },
    )
  })

  test('draws pairs: what is hard for both is no difference', () => {
    const { mean, low, high } = bootstrapRatio([
      [1.1, 1],
      [110, 100],
      [0.0011, 0.001],
    ])
    for (const value of [mean, low, high]) expect(value).toBeCloseTo(1.1, 10)
  })

  test('of nothing is unknown', () => {
    expect(bootstrapRatio([])).toEqual({ mean: Number.NaN, low: Number.NaN, high: Number.NaN })
  })
})

describe('the sign test', () => {
  test('is the binomial distribution, both tails', () => {
    expect(signTest(0, 5)).toBeCloseTo(2 / 32, 12)
    expect(signTest(1, 5)).toBeCloseTo((2 * (1 + 6)) / 64, 12)
    expect(signTest(3, 3)).toBe(1)
    expect(signTest(0, 0)).toBe(1)
  })

  test('is symmetric, between 0 and 1, and lower for a greater difference', () => {
    const count = fc.integer({ min: 0, max: 3000 })
    fc.assert(
      fc.property(count, count, (wins, losses) => {
        const chance = signTest(wins, losses)
        expect(chance).toBeCloseTo(signTest(losses, wins), 10)
        expect(chance).toBeGreaterThanOrEqual(0)
        expect(chance).toBeLessThanOrEqual(1)
        if (wins > losses) expect(signTest(wins + 1, losses)).toBeLessThanOrEqual(chance + 1e-12)
      }),
    )
  })
})
