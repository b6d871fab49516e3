import fastCheck from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fillBatch, type LearnedExample, planUpdates, tokensOf } from '../../src/engine/train/batches.ts'
import type { TokenRow } from '../../src/engine/train/example-tokens.ts'

const maxLength = 20
const row = fastCheck
  .array(fastCheck.tuple(fastCheck.nat(1000), fastCheck.boolean()), { minLength: 2, maxLength })
  .map((tokens): TokenRow => {
    const places = tokens.flatMap(([, isTarget], place) => (isTarget && place > 0 ? [place] : []))
    return { tokens: Int32Array.from(tokens, ([token]) => token), places: Int32Array.from(places.length === 0 ? [1] : places) }
  })
const rows = fastCheck.array(row, { minLength: 1, maxLength: 12 })

describe('rows in a batch', () => {
  test('each keep their tokens, positions and targets, packed or not', () => {
    const property = fastCheck.property(rows, fastCheck.boolean(), (given, packs) => {
      const { batch, rowOf } = fillBatch(given, { maxLength, packs })
      expect(batch.length).toBeLessThanOrEqual(maxLength)
      const found = given.map(() => ({ tokens: [] as number[], targets: [] as number[], places: [] as number[] }))
      for (const [target, at] of batch.targetAt.entries()) {
        const own = found[rowOf[target] ?? 0]
        own?.targets.push(batch.targets[target] ?? -1)
        own?.places.push((batch.positions[at] ?? -9) + 1)
        if (own === undefined || own.tokens.length > 0) continue
        const first = at - (batch.positions[at] ?? 0)
        for (
          let index = first;
          batch.segments[index] === batch.segments[at] && index - first === batch.positions[index];
          index += 1
        )
          own.tokens.push(batch.tokens[index] ?? -1)
      }
      for (const [index, { tokens, places }] of given.entries()) {
        expect(found[index]?.tokens).toEqual([...tokens.subarray(0, -1)])
        expect(found[index]?.places).toEqual([...places])
        expect(found[index]?.targets).toEqual([...places].map((place) => tokens[place]))
      }
      const used = batch.segments.reduce((sum, segment) => sum + (segment >= 0 ? 1 : 0), 0)
      expect(used).toBe(tokensOf(given) - given.length)
      if (!packs) expect(batch.rows).toBe(given.length)
    })
    fastCheck.assert(property)
  })

  test('leave at most one row that is not half full when they are packed', () => {
    const property = fastCheck.property(rows, (given) => {
      const { batch } = fillBatch(given, { maxLength, packs: true })
      const filled = Array.from({ length: batch.rows }, (_, index) =>
        batch.segments
          .subarray(index * batch.length, (index + 1) * batch.length)
          .reduce((sum, segment) => sum + (segment >= 0 ? 1 : 0), 0),
      )
      expect(filled.filter((tokens) => tokens <= maxLength / 2).length).toBeLessThanOrEqual(1)
    })
    fastCheck.assert(property)
  })
})

const exampleOf = (length: number): LearnedExample => ({
  rows: [{ tokens: new Int32Array(length), places: Int32Array.of(1) }],
  weight: 1,
})
const options = { epochs: 3, batchSize: 4, accumulation: 2, seed: 5, replay: 0 }

describe('the plan of a run', () => {
  const examples = Array.from({ length: 21 }, (_, index) => exampleOf(5 + index))

  test('takes each example once in each epoch, in orders that follow from the seed', () => {
    const updates = planUpdates(examples, [], options)
    const orders = [1, 2, 3].map((epoch) =>
      updates.filter((update) => update.epoch === epoch).flatMap(({ pieces }) => pieces.flatMap((piece) => piece.examples)),
    )
    for (const order of orders) expect(order.toSorted((one, other) => one - other)).toEqual([...examples.keys()])
    expect(new Set(orders.map(String)).size).toBe(3)
    expect(planUpdates(examples, [], options)).toEqual(updates)
    expect(planUpdates(examples, [], { ...options, seed: 6 })).not.toEqual(updates)
    expect(updates.map(({ endsEpoch }) => endsEpoch)).toEqual([false, false, true, false, false, true, false, false, true])
    expect(updates[2]?.pieces.map((piece) => piece.examples.length)).toEqual([4, 1])
  })

  test('replays rows in turn, and as many tokens as it should at any time', () => {
    const replayed = [7, 3, 11, 5].map((length): TokenRow => ({ tokens: new Int32Array(length), places: Int32Array.of(1) }))
    const property = fastCheck.property(fastCheck.double({ min: 0.05, max: 3, noNaN: true }), (replay) => {
      let [learned, general, next] = [0, 0, 0]
      for (const { pieces } of planUpdates(examples, replayed, { ...options, replay }))
        for (const piece of pieces) {
          learned += piece.examples.reduce((sum, index) => sum + tokensOf(examples[index]?.rows ?? []), 0)
          for (const index of piece.replay) {
            expect(index).toBe(next)
            next = (next + 1) % replayed.length
            general += replayed[index]?.tokens.length ?? 0
          }
          expect(Math.abs(general - learned * replay)).toBeLessThanOrEqual(6)
        }
    })
    fastCheck.assert(property)
  })
})
