import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Aside, createSetAside } from '../../src/engine/local/set-aside.ts'

const of = (tokens: readonly number[], { exact = 0, adapter = undefined as string | undefined } = {}): Aside => {
  return { adapter, tokens, exact, bytes: new Uint8Array(1) }
}

test('of what is set aside, that serves which begins with most of the prompt, under the same adapter, and never with all of it', () => {
  const letter = fc.nat(1)
  const tokens = fc.array(letter, { minLength: 1, maxLength: 8 })
  const one = fc.record({ tokens, exact: fc.nat(8), adapter: fc.option(fc.constant('a'), { nil: undefined }) })
  fc.assert(
    fc.property(fc.array(one, { maxLength: 12 }), tokens, fc.boolean(), (all, prompt, exactly) => {
      const kept = createSetAside(1e6)
      const lengths = all.map(({ tokens: own, ...rest }) => {
        const exact = Math.min(rest.exact, own.length)
        kept.keep(of(own, { ...rest, exact }), 0)
        let common = 0
        while (common < prompt.length - 1 && own[common] === prompt[common]) common += 1
        return rest.adapter === 'a' ? (exactly ? Math.min(common, exact) : common) : 0
      })
      expect(kept.longest({ prompt, adapter: 'a', exactly }, 0)?.length ?? 0).toBe(Math.max(0, ...lengths))
    }),
  )
})

describe('room', () => {
  const letters = (letter: number, count: number) => Array.from({ length: count }, () => letter)
  function createFull() {
    const kept = createSetAside(300)
    for (const letter of [1, 2, 3]) kept.keep(of(letters(letter, 100)), letter)
    const has = (letter: number) =>
      kept.longest({ prompt: letters(letter, 101), adapter: undefined, exactly: false }, 9) !== undefined
    return { kept, has }
  }

  test('is made of what was not used for long, and of no more than has to go', () => {
    const { kept, has } = createFull()
    expect(kept.makeRoom(50, 0)).toBe(false)
    expect(kept.makeRoom(301, 9)).toBe(false)
    expect(kept.makeRoom(50, 2)).toBe(true)
    expect([has(1), has(2), has(3)]).toEqual([false, true, true])
    // All have been used now.
    expect(kept.makeRoom(150, 8)).toBe(false)
  })

  test('is made of what was unused for longest where it must be', () => {
    const { kept, has } = createFull()
    expect(has(1)).toBe(true)
    kept.keep(of(letters(4, 150)), 4)
    expect([has(1), has(2), has(3), has(4)]).toEqual([true, false, false, true])
    kept.keep(of(letters(5, 301)), 5)
    expect(has(5)).toBe(false)
  })
})
