import fastCheck from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addGradients, clippingScale, createAdamW, globalNorm } from '../../src/engine/train/optimizer.ts'
import { learningRateAt } from '../../src/engine/train/schedule.ts'
import { checkTrainParameters, defaultTrainParameters } from '../../src/engine/train/train-parameters.ts'

describe('AdamW', () => {
  test('takes steps of the learning rate at first, whatever the size of the gradient', () => {
    const property = fastCheck.property(
      fastCheck.double({ min: 1e-3, max: 1e3, noNaN: true }),
      fastCheck.boolean(),
      (size, up) => {
        const values = Float32Array.of(1)
        createAdamW([values], { weightDecay: 0 }).update([Float32Array.of(up ? size : -size)], {
          step: 1,
          learningRate: 0.1,
          scale: 1,
        })
        expect(values[0]).toBeCloseTo(up ? 0.9 : 1.1, 4)
      },
    )
    fastCheck.assert(property)
  })

  test('follows its definition over several steps, with decay that no gradient sees', () => {
    const [values, decay, rate] = [Float32Array.of(0.5, -2), 0.1, 0.01]
    const optimizer = createAdamW([values], { weightDecay: decay })
    const expected = [0.5, -2].map((value) => ({ value, first: 0, second: 0 }))
    for (let step = 1; step <= 20; step += 1) {
      const gradient = [Math.sin(step), Math.cos(step) * 5]
      optimizer.update([Float32Array.from(gradient)], { step, learningRate: rate, scale: 0.5 })
      for (const [index, state] of expected.entries()) {
        const slope = (gradient[index] ?? 0) * 0.5
        state.first = 0.9 * state.first + 0.1 * slope
        state.second = 0.999 * state.second + 0.001 * slope ** 2
        const move = state.first / (1 - 0.9 ** step) / (Math.sqrt(state.second / (1 - 0.999 ** step)) + 1e-8)
        state.value -= rate * move + rate * decay * state.value
      }
    }
    for (const [index, { value }] of expected.entries()) expect(values[index]).toBeCloseTo(value, 5)
  })
})

test('gradients are summed, and scaled down to the greatest norm that is allowed', () => {
  const sum = addGradients(addGradients(undefined, [Float32Array.of(1, 2)]), [Float32Array.of(2, 2)])
  expect(sum).toEqual([Float32Array.of(3, 4)])
  expect(globalNorm([Float32Array.of(3), Float32Array.of(4)])).toBe(5)
  expect([clippingScale(5, 1), clippingScale(0.5, 1), clippingScale(5, 0)]).toEqual([0.2, 1, 1])
})

describe('the learning rate', () => {
  const schedule = { learningRate: 1, warmup: 0.2 }
  const rates = (name: 'cosine' | 'linear' | 'constant') =>
    Array.from({ length: 10 }, (_, index) => learningRateAt(index + 1, 10, { ...schedule, schedule: name }))

  test('rises, is at its highest and falls, but never to 0', () => {
    expect(rates('constant')).toEqual([0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    expect(rates('linear').map((rate) => Number(rate.toFixed(3)))).toEqual([
      0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125,
    ])
    const cosine = rates('cosine')
    expect(cosine.slice(0, 3)).toEqual([0.5, 1, 1])
    expect(cosine[6]).toBeCloseTo(0.5)
    for (const [index, rate] of cosine.slice(3).entries()) expect(rate).toBeLessThan(cosine[index + 2] ?? 0)
    expect(cosine[9]).toBeGreaterThan(0)
  })

  test('is a number for any share of warm-up and any number of steps', () => {
    const property = fastCheck.property(
      fastCheck.double({ min: 0, max: 1, noNaN: true }),
      fastCheck.integer({ min: 1, max: 50 }),
      (warmup, steps) => {
        for (let step = 1; step <= steps; step += 1) {
          const rate = learningRateAt(step, steps, { learningRate: 1, schedule: 'cosine', warmup })
          expect(rate).toBeGreaterThan(0)
          expect(rate).toBeLessThanOrEqual(1)
        }
      },
    )
    fastCheck.assert(property)
  })
})

describe('parameters', () => {
  test('that are usual are allowed', () => {
    expect(() => checkTrainParameters(defaultTrainParameters)).not.toThrow()
  })

  test.each([
    ['epochs', { epochs: 0 }],
    ['rank', { rank: 1.5 }],
    ['learningRate', { learningRate: 0 }],
    ['learningRate', { learningRate: Number.NaN }],
    ['dropout', { dropout: 1 }],
    ['modules', { modules: [] }],
    ['beta', { beta: -1 }],
  ])('are refused with the field %s and its range', (field, changes) => {
    const check = () => checkTrainParameters({ ...defaultTrainParameters, ...changes })
    expect(check).toThrow(expect.objectContaining({ code: 'invalid', details: [expect.objectContaining({ field })] }))
  })
})
