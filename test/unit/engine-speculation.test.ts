import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createPromptLookup } from '../../src/engine/local/prompt-lookup.ts'
import { planDrafts } from '../../src/engine/local/speculation.ts'
import { createStepCosts } from '../../src/engine/local/step-costs.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

describe('a guess', () => {
  test('is what followed the latest tokens when they came before, the last time', () => {
    const lookup = createPromptLookup([1, 2, 3, 4, 5, 1, 2, 3, 6, 7, 1, 2, 3])
    expect(lookup.guess(3)).toEqual([6, 7, 1])
  })

  test('goes on with the passage as long as the answer does', () => {
    const lookup = createPromptLookup([...numbers(0, 50), 10, 11, 12])
    for (const token of [13, 14, 15]) lookup.add(token)
    expect(lookup.guess(4)).toEqual([16, 17, 18, 19])
  })

  test('is given up when the answer takes another way, and found again', () => {
    const lookup = createPromptLookup([...numbers(0, 50), 10, 11, 12])
    lookup.add(99)
    expect(lookup.guess(4)).toEqual([])
    expect(lookup.chance()).toBe(0)
    for (const token of [30, 31, 32]) lookup.add(token)
    expect(lookup.guess(2)).toEqual([33, 34])
  })

  test('is never made from two tokens that are alike, nor from none', () => {
    expect(createPromptLookup([1, 2, 9, 1, 2]).guess(4)).toEqual([])
    expect(createPromptLookup([]).guess(4)).toEqual([])
    expect(createPromptLookup([5]).chance()).toBe(0)
  })

  test('is trusted more the longer the match, and less after it was wrong', () => {
    const passage = numbers(0, 100)
    const short = createPromptLookup([...passage, 10, 11, 12])
    const long = createPromptLookup([...passage, ...numbers(10, 50)])
    expect(long.chance()).toBeGreaterThan(short.chance())
    const before = short.chance()
    short.add(99)
    for (const token of [20, 21, 22]) short.add(token)
    expect(short.chance()).toBeLessThan(before)
  })

  test('always repeats tokens that followed the same three, whatever came', () => {
    const token = fc.nat(3)
    fc.assert(
      fc.property(fc.array(token, { maxLength: 60 }), fc.array(token, { maxLength: 60 }), (prompt, answer) => {
        const lookup = createPromptLookup(prompt)
        const all = [...prompt]
        for (const next of answer) {
          lookup.add(next)
          all.push(next)
          const guess = lookup.guess(2)
          expect(guess.length).toBe(Math.min(2, lookup.length()))
          if (guess.length === 0) continue
          const text = all.join('')
          expect(text).toContain(all.slice(-3).join('') + guess[0])
          expect(lookup.chance()).toBeGreaterThan(0)
          expect(lookup.chance()).toBeLessThan(1)
        }
      }),
    )
  })
})

describe('drafts', () => {
  /** As measured on two cores: a step of 8 rows takes as long as four of one row. */
  const processor = (rows: number) => 10 * rows ** 0.6

  test('are long where the guess is nearly sure, and none where it is not', () => {
    expect(planDrafts([{ chance: 0.97, most: 100 }], 32, processor)[0]).toBeGreaterThanOrEqual(15)
    expect(planDrafts([{ chance: 0.3, most: 100 }], 32, processor)).toEqual([0])
  })

  test('cost so little where rows cost nothing that a poor guess is worth them', () => {
    expect(planDrafts([{ chance: 0.3, most: 100 }], 32, () => 10)[0]).toBeGreaterThan(0)
  })

  test('go to the answer whose guess is best', () => {
    const lengths = planDrafts(
      [
        { chance: 0.2, most: 100 },
        { chance: 0.97, most: 100 },
      ],
      16,
      processor,
    )
    expect(lengths[0]).toBe(0)
    expect(lengths[1]).toBeGreaterThan(5)
  })

  test('are never made as long as nothing is known of costs', () => {
    expect(planDrafts([{ chance: 0.99, most: 100 }], 32, () => 0)).toEqual([0])
  })

  test('stay within the rows of a step and the tokens that an answer has left', () => {
    const candidate = fc.record({ chance: fc.double({ min: 0, max: 0.99, noNaN: true }), most: fc.integer({ min: 0, max: 40 }) })
    fc.assert(
      fc.property(
        fc.array(candidate, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 40 }),
        (candidates, mostRows) => {
          const lengths = planDrafts(candidates, mostRows, () => 1)
          expect(lengths).toHaveLength(candidates.length)
          for (const [index, { most }] of candidates.entries()) expect(lengths[index]).toBeLessThanOrEqual(most)
          const drafted = lengths.reduce((sum, length) => sum + length, 0)
          if (drafted > 0) expect(drafted + candidates.length).toBeLessThanOrEqual(mostRows)
        },
      ),
    )
  })
})

describe('the cost of a step', () => {
  test('is unknown at first, then measured, and estimated for other sizes', () => {
    const costs = createStepCosts()
    expect(costs.of(8)).toBe(0)
    costs.note(2, 20)
    expect(costs.of(2)).toBe(20)
    expect(costs.of(8)).toBeGreaterThan(20)
    expect(costs.of(8)).toBeLessThan(80)
    expect(costs.of(1)).toBeLessThan(20)
  })

  test('lies between those of the sizes around it', () => {
    const costs = createStepCosts()
    costs.note(8, 40)
    costs.note(16, 60)
    expect(costs.of(10)).toBeCloseTo(45)
    expect(costs.of(14)).toBeCloseTo(55)
  })

  test('grows nearly with the rows where they are many: a guess at too little would be tried again and again', () => {
    const costs = createStepCosts()
    costs.note(16, 100)
    expect(costs.of(32)).toBeGreaterThan(180)
    expect(costs.of(32)).toBeLessThan(200)
    expect(costs.of(1)).toBeGreaterThan(10)
    expect(costs.of(1)).toBeLessThan(25)
    const answers = Array.from({ length: 16 }, (_, index) => ({ chance: index < 2 ? 0.95 : 0, most: 100 }))
    expect(planDrafts(answers, 32, costs.of)).toEqual(answers.map(() => 0))
  })

  test('follows what steps take now', () => {
    const costs = createStepCosts()
    costs.note(1, 10)
    for (let time = 0; time < 30; time += 1) costs.note(1, 30)
    expect(costs.of(1)).toBeCloseTo(30, 0)
  })

  test('decides whether a step is filled up, after both were tried', () => {
    const costs = createStepCosts()
    const times = (rows: number, milliseconds: number) => {
      for (let time = 0; time < 3; time += 1) costs.note(rows, milliseconds)
    }
    expect(costs.filledUp(5, 16)).toBe(5)
    times(5, 45)
    expect(costs.filledUp(5, 16)).toBe(8)
    times(8, 40)
    expect(costs.filledUp(5, 16)).toBe(8)
    times(6, 30)
    expect(costs.filledUp(6, 16)).toBe(6)
    expect(costs.filledUp(5, 7)).toBe(5)
    times(9, 53)
    expect(costs.filledUp(9, 16)).toBe(12)
    times(12, 51)
    expect(costs.filledUp(9, 16)).toBe(16)
    times(16, 55)
    expect(costs.filledUp(9, 16)).toBe(12)
    expect([1, 3, 4, 8, 16].map((rows) => costs.filledUp(rows, 64))).toEqual([1, 3, 4, 8, 16])
  })
})
