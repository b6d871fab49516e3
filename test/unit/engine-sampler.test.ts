import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createRandom } from '../../src/engine/local/random.ts'
import { type ChoiceParameters, createSampler } from '../../src/engine/local/sampler.ts'

const plain: ChoiceParameters = { temperature: 1, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: 1 }

function drawMany(scores: readonly number[], parameters: Partial<ChoiceParameters>, count = 4000): number[] {
  const sampler = createSampler({ ...plain, ...parameters }, [], undefined)
  const drawn = new Array<number>(scores.length).fill(0)
  for (let time = 0; time < count; time += 1) {
    const token = sampler.sample(Float32Array.from(scores)) ?? -1
    drawn[token] = (drawn[token] ?? 0) + 1
  }
  return drawn.map((times) => times / count)
}

const scoresOf = (chances: readonly number[]) => chances.map((chance) => Math.log(chance))

describe('drawing', () => {
  test('follows the probabilities', () => {
    const drawn = drawMany(scoresOf([0.6, 0.3, 0.1]), {}, 20_000)
    expect(drawn[0]).toBeCloseTo(0.6, 1)
    expect(drawn[1]).toBeCloseTo(0.3, 1)
    expect(drawn[2]).toBeCloseTo(0.1, 1)
  })

  test('temperature 0 takes the likeliest', () => {
    expect(drawMany([1, 3, 2], { temperature: 0 }, 10)).toEqual([0, 1, 0])
  })

  test('a low temperature prefers the likely, a high one evens out', () => {
    const [cold = 0] = drawMany(scoresOf([0.6, 0.4]), { temperature: 0.2 })
    const [hot = 0] = drawMany(scoresOf([0.6, 0.4]), { temperature: 2 })
    expect(cold).toBeGreaterThan(0.8)
    expect(hot).toBeLessThan(0.6)
  })

  test('no place in the vocabulary is overlooked, and the first of equals counts', () => {
    // Sizes on both sides of 8, since scores are compared eight at a time; few values, so that many are equal.
    const vocabulary = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(vocabulary, fc.integer({ min: 1, max: 45 }), fc.nat(), (scores, topK, seed) => {
        const order = scores.map((_, token) => token).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b)
        const greedy = createSampler({ ...plain, temperature: 0 }, [], undefined)
        expect(greedy.sample(Float32Array.from(scores))).toBe(order[0])
        const among = createSampler({ ...plain, topK, seed, temperature: 1000 }, [], undefined)
        expect(order.slice(0, topK)).toContain(among.sample(Float32Array.from(scores)))
      }),
    )
  })

  test('top-k, top-p and min-p cut the unlikely', () => {
    const scores = scoresOf([0.1, 0.4, 0.05, 0.3, 0.15])
    expect(drawMany(scores, { topK: 2 }).map((share) => share > 0)).toEqual([false, true, false, true, false])
    expect(drawMany(scores, { topP: 0.75 }).map((share) => share > 0)).toEqual([false, true, false, true, true])
    expect(drawMany(scores, { topP: 0 }).map((share) => share > 0)).toEqual([false, true, false, false, false])
    expect(drawMany(scores, { topP: 0, topK: 3 }).map((share) => share > 0)).toEqual([false, true, false, false, false])
    expect(drawMany(scores, { minP: 0.3 }).map((share) => share > 0)).toEqual([false, true, false, true, true])
  })

  test('cuts together leave what each of them leaves, in the order top-k, top-p, min-p', () => {
    const scores = scoresOf([0.1, 0.4, 0.05, 0.3, 0.15])
    // The two likeliest have 0.82 of the weight of the three likeliest; the second is 0.75 times as likely as the first.
    expect(drawMany(scores, { topK: 3, topP: 0.8 }).map((share) => share > 0)).toEqual([false, true, false, true, false])
    expect(drawMany(scores, { topK: 3, topP: 0.85 }).map((share) => share > 0)).toEqual([false, true, false, true, true])
    expect(drawMany(scores, { topK: 3, topP: 0.85, minP: 0.9 }).map((share) => share > 0)).toEqual([
      false,
      true,
      false,
      false,
      false,
    ])
  })

  test('a repeat penalty makes tokens of the prompt less likely', () => {
    const sampler = createSampler({ ...plain, temperature: 0, repeatPenalty: 2 }, [1], undefined)
    expect(sampler.sample(Float32Array.of(1, 1.5, 0))).toBe(0)
  })

  test('a frequency penalty counts how often the answer holds a token, a presence penalty whether it does', () => {
    const said = (penalties: Partial<ChoiceParameters>, count: number) => {
      const sampler = createSampler({ ...plain, temperature: 0, ...penalties }, [0, 0, 0], undefined)
      return Array.from({ length: count }, () => sampler.sample(Float32Array.of(2.5, 1, 0)))
    }
    // What the prompt holds counts for nothing.
    expect(said({ frequencyPenalty: 1 }, 6)).toEqual([0, 0, 1, 0, 1, 2])
    expect(said({ presencePenalty: 2 }, 5)).toEqual([0, 1, 0, 0, 0])
    expect(said({ frequencyPenalty: -1, presencePenalty: -1 }, 3)).toEqual([0, 0, 0])
  })

  test('a bias makes a token likelier or less likely; -100 forbids it, however likely it is', () => {
    const first = (logitBias: Record<string, number>, scores = [3, 2, 1]) =>
      createSampler({ ...plain, temperature: 0, logitBias }, [], undefined).sample(Float32Array.from(scores))
    expect([first({ 2: 1.9 }), first({ 2: 2.1 }), first({ 0: -1.1 }), first({ 0: -100 })]).toEqual([0, 2, 1, 1])
    expect(first({ 0: -100 }, [500, 2, 1])).toBe(1)
  })

  test('the cuts on a large vocabulary keep what a full sort keeps', () => {
    const random = createRandom(5)
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 40 }), (seed, topK) => {
        const scores = Float32Array.from({ length: 5000 }, () => random() * 30 - 15)
        const best = new Set([...scores.keys()].sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0)).slice(0, topK))
        const token = createSampler({ ...plain, topK, seed }, [], undefined).sample(scores)
        expect(best.has(token ?? -1)).toBe(true)
      }),
    )
  })
})

describe('a seed', () => {
  const scores = scoresOf([0.3, 0.3, 0.2, 0.2])
  const draw = (seed: number) => {
    const sampler = createSampler({ ...plain, seed }, [], undefined)
    return Array.from({ length: 50 }, () => sampler.sample(Float32Array.from(scores)))
  }

  test('gives the same tokens again', () => expect(draw(7)).toEqual(draw(7)))

  test('gives others than its neighbours', () => {
    expect(new Set(Array.from({ length: 20 }, (_, seed) => draw(seed).join())).size).toBe(20)
  })

  test('makes numbers that are spread evenly over [0, 1)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (seed) => {
        const random = createRandom(seed)
        const numbers = Array.from({ length: 2000 }, random)
        expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true)
        expect(numbers.reduce((sum, number) => sum + number, 0) / numbers.length).toBeCloseTo(0.5, 1)
      }),
    )
  })
})

describe('a grammar', () => {
  const grammarOf = (allowed: readonly number[]) => {
    const accepted: number[] = []
    const state = { allowed: (tokens: readonly number[]) => tokens.map((token) => allowed.includes(token)), close() {} }
    return { accepted, state: { ...state, accept: (token: number) => void accepted.push(token) } }
  }

  test('lets only allowed tokens through, even unlikely ones', () => {
    const { state, accepted } = grammarOf([2])
    const sampler = createSampler(plain, [], state)
    expect(sampler.sample(Float32Array.of(20, 10, -40))).toBe(2)
    expect(accepted).toEqual([2])
  })

  test('that allows only what the caller forbids ends the answer', () => {
    const { state } = grammarOf([0])
    expect(createSampler({ ...plain, logitBias: { 0: -100 } }, [], state).sample(Float32Array.of(1, 2))).toBeUndefined()
  })

  test('that allows nothing ends the answer', () => {
    const { state, accepted } = grammarOf([])
    expect(createSampler(plain, [], state).sample(Float32Array.of(1, 2))).toBeUndefined()
    expect(accepted).toEqual([])
  })
})
