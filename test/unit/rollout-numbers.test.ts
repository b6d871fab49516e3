import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createRandom } from '../../src/engine/local/random.ts'
import { armAt, beginningOf, placeOf, places, resize, settledArm, shareOf, toSizes } from '../../src/rollout/arms.ts'
import { type Rating, testSequentially } from '../../src/rollout/sequential-test.ts'
import { newcombe, wilson } from '../../src/statistics.ts'

const none = (count: number) => Array.from({ length: count }, () => [])

/** Sizes of so many arms, all places together. */
const sizesOf = (count: number) =>
  fc.array(fc.integer({ min: 0, max: places }), { minLength: count - 1, maxLength: count - 1 }).map((cuts) => {
    const ends = [0, ...cuts.toSorted((one, other) => one - other), places]
    return ends.slice(1).map((end, index) => end - (ends[index] ?? 0))
  })

const twoOfTheSame = fc.integer({ min: 2, max: 5 }).chain((count) => fc.tuple(sizesOf(count), sizesOf(count), sizesOf(count)))

describe('shares', () => {
  test('are places of the arms: each belongs to one, and as many as the share says', () => {
    fc.assert(
      fc.property(twoOfTheSame, ([first, second, third]) => {
        const arms = resize(resize(resize(none(first.length), first), second), third).map((ranges) => ({ ranges }))
        expect(arms.map((arm) => Math.round(shareOf(arm) * 100))).toEqual(third)
        const owned = arms.flatMap(({ ranges }) => ranges).toSorted(([one], [other]) => one - other)
        expect(owned.reduce((end, [from, to]) => (from === end ? to : Number.NaN), 0)).toBe(places)
      }),
    )
  })

  test('that change move conversations from arms that shrink to arms that grow, and no others', () => {
    fc.assert(
      fc.property(twoOfTheSame, fc.integer({ min: 0, max: places - 1 }), ([first, second, third], place) => {
        const before = resize(resize(none(first.length), first), second).map((ranges, arm) => ({ arm, ranges }))
        const after = resize(
          before.map(({ ranges }) => ranges),
          third,
        ).map((ranges, arm) => ({ arm, ranges }))
        const [was = -1, is = -1] = [armAt(before, place)?.arm, armAt(after, place)?.arm]
        if (was === is) return
        expect(third[is]).toBeGreaterThan(second[is] ?? 0)
        expect(third[was]).toBeLessThan(second[was] ?? 0)
      }),
    )
  })

  test('hold over many conversations', () => {
    const arms = resize(none(3), toSizes([85, 10, 5])).map((ranges, arm) => ({ arm, ranges }))
    const counts = [0, 0, 0]
    const draws = 20_000
    for (let at = 0; at < draws; at += 1) {
      const arm = armAt(arms, placeOf({ rolloutId: 'r', askerKey: `user:${at % 7}`, text: `Hello ${at}` }))?.arm ?? -1
      counts[arm] = (counts[arm] ?? 0) + 1
    }
    for (const [arm, share] of [0.85, 0.1, 0.05].entries())
      expect(Math.abs((counts[arm] ?? 0) / draws - share)).toBeLessThan(4 * Math.sqrt((share * (1 - share)) / draws))
  })

  test.each([
    [[90, 9.999], 'arms.1.share'],
    [[90, 9.5], 'arms'],
    [[60, 60], 'arms'],
  ])('%j are refused, naming the field', (shares, field) => {
    expect(() => toSizes(shares)).toThrow(
      expect.objectContaining({ code: 'invalid', details: [expect.objectContaining({ field })] }),
    )
  })

  test('of thirds need not be exact in binary', () => {
    expect(toSizes([33.33, 33.33, 33.34])).toEqual([3333, 3333, 3334])
  })
})

test('what has no conversation is answered by the first arm, wherever its places are, or by the one that has all', () => {
  const arm = (model: string) => ({ model, provider: 'hf', ranOn: 'local' }) as const
  const withShares = (ranges: ReturnType<typeof resize>) =>
    [
      { ...arm('old'), ranges: ranges[0] ?? [] },
      { ...arm('new'), ranges: ranges[1] ?? [] },
    ] as const
  const allToNew = resize(none(2), [0, 10_000])
  expect(settledArm(withShares(allToNew)).model).toBe('new')
  expect(settledArm(withShares(resize(allToNew, [9000, 1000]))).model).toBe('old')
})

describe('the beginning of a conversation', () => {
  const system = { role: 'system', content: 'Be kind.' } as const
  const question = { role: 'user', content: 'Hi' } as const
  const later = [{ role: 'assistant', content: 'Hello' } as const, { role: 'user', content: 'And now?' } as const]

  test('is the same for all of its turns, and no other', () => {
    const first = beginningOf({ type: 'chat', messages: [system, question] })
    expect(beginningOf({ type: 'chat', messages: [system, question, ...later] })).toBe(first)
    expect(beginningOf({ type: 'chat', messages: [question, ...later] })).not.toBe(first)
    expect(beginningOf({ type: 'chat', messages: [system, { ...question, images: ['https://x/y.png'] }] })).not.toBe(first)
    expect(beginningOf({ type: 'chat', messages: [system] })).not.toBe(first)
    expect(beginningOf({ type: 'text', text: 'Hi' })).toBe('Hi')
  })

  test('is drawn anew by another rollout and for another asker', () => {
    const arms = resize(none(2), [5000, 5000]).map((ranges, arm) => ({ arm, ranges }))
    const drawn = (rolloutId: string, askerKey: string) =>
      Array.from({ length: 64 }, (_, at) => armAt(arms, placeOf({ rolloutId, askerKey, text: `${at}` }))?.arm).join('')
    expect(drawn('one', 'ana')).toBe(drawn('one', 'ana'))
    expect(new Set([drawn('one', 'ana'), drawn('two', 'ana'), drawn('one', 'bea')]).size).toBe(3)
  })
})

describe('intervals', () => {
  test('are those of the literature', () => {
    // Newcombe (1998), table II: 56/70 and 48/80.
    expect(newcombe({ wins: 56, trials: 70 }, { wins: 48, trials: 80 })).toMatchObject({
      low: expect.closeTo(0.0524, 4),
      high: expect.closeTo(0.3339, 4),
    })
    expect(wilson(81, 263)).toMatchObject({ low: expect.closeTo(0.2553, 4), high: expect.closeTo(0.3662, 4) })
    expect(wilson(0, 0)).toEqual({ low: 0, high: 1 })
    expect(newcombe({ wins: 0, trials: 0 }, { wins: 1, trials: 1 })).toEqual({ low: -1, high: 1 })
  })

  test('hold what they are about, and turn round with the arms', () => {
    const count = fc.tuple(fc.nat(200), fc.nat(200)).map(([wins, losses]) => ({ wins, trials: wins + losses + 1 }))
    fc.assert(
      fc.property(count, count, (one, other) => {
        const difference = one.wins / one.trials - other.wins / other.trials
        const { low, high } = newcombe(one, other)
        expect(low).toBeLessThanOrEqual(difference)
        expect(high).toBeGreaterThanOrEqual(difference)
        expect(newcombe(other, one).low).toBeCloseTo(-high, 10)
        expect(wilson(one.wins, one.trials).low).toBeLessThanOrEqual(one.wins / one.trials)
        expect(wilson(one.wins, one.trials).high).toBeGreaterThanOrEqual(one.wins / one.trials)
      }),
    )
  })
})

/** Ratings of two arms that win this often. */
function* draw(
  random: () => number,
  count: number,
  share: number,
  rates: Readonly<Record<Rating['arm'], number>>,
): Generator<Rating> {
  for (let at = 0; at < count; at += 1) {
    const arm = random() < share ? 'candidate' : 'baseline'
    yield { arm, isWin: random() < rates[arm] }
  }
}

describe('the test', () => {
  test.each([
    [0.5, 0.5],
    [0.1, 0.5],
    [0.1, 0.9],
    [0.5, 0.05],
    [0.9, 0.7],
  ])(
    'with a share of %d and arms that both win with %d finds a difference in 5 % of cases at most, though one looks after each rating',
    (share, rate) => {
      const random = createRandom(7)
      const runs = 400
      let wrong = 0
      // The test remembers the most that its bets were worth: its verdict after all ratings is whether any look would have found one.
      for (let run = 0; run < runs; run += 1)
        if (testSequentially(draw(random, 1500, share, { baseline: rate, candidate: rate })).verdict !== 'undecided') wrong += 1
      expect(wrong / runs).toBeLessThanOrEqual(0.05)
    },
  )

  test('says the same at the end as at any look before', () => {
    const ratings = [...draw(createRandom(3), 300, 0.5, { baseline: 0.4, candidate: 0.7 })]
    const looks = ratings.map((_, at) => testSequentially(ratings.slice(0, at + 1)).pValue)
    expect(looks.toSorted((one, other) => other - one)).toEqual(looks)
  })

  test.each([
    [0.1, 0.5, 0.8, 'candidate-better'],
    [0.1, 0.8, 0.5, 'baseline-better'],
    [0.5, 0.6, 0.8, 'candidate-better'],
  ] as const)('with a share of %d finds that %d and %d differ: %s', (share, baseline, candidate, verdict) => {
    const random = createRandom(11)
    const found = Array.from({ length: 100 }, () => testSequentially(draw(random, 1500, share, { baseline, candidate })).verdict)
    expect(found.filter((one) => one === verdict).length).toBeGreaterThanOrEqual(90)
    expect(found.every((one) => one === verdict || one === 'undecided')).toBe(true)
  })

  test('finds nothing in nothing', () => {
    expect(testSequentially([])).toEqual({ pValue: 1, verdict: 'undecided' })
    expect(testSequentially([{ arm: 'candidate', isWin: true }])).toEqual({ pValue: 1, verdict: 'undecided' })
  })
})
