import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Aside, createSetAside } from '../../src/engine/local/set-aside.ts'

const of = (tokens: readonly number[], { exact = 0, adapter = undefined as string | undefined, size = 10 } = {}): Aside => ({
  adapter,
  tokens,
  exact,
  bytes: new Uint8Array(size),
})

test('of what is set aside, that serves which begins with most of the prompt, under the same adapter, and never with all of it', () => {
  const letter = fc.nat(1)
  const tokens = fc.array(letter, { minLength: 1, maxLength: 8 })
  const one = fc.record({ tokens, exact: fc.nat(8), adapter: fc.option(fc.constant('a'), { nil: undefined }) })
  fc.assert(
    fc.property(fc.array(one, { maxLength: 12 }), tokens, fc.boolean(), (all, prompt, exactly) => {
      const kept = createSetAside(1e6)
      const lengths = all.map(({ tokens: own, ...rest }) => {
        const exact = Math.min(rest.exact, own.length)
        kept.keep(of(own, { ...rest, exact }))
        let common = 0
        while (common < prompt.length - 1 && own[common] === prompt[common]) common += 1
        return rest.adapter === 'a' ? (exactly ? Math.min(common, exact) : common) : 0
      })
      expect(kept.longest({ prompt, adapter: 'a', exactly })?.length ?? 0).toBe(Math.max(0, ...lengths))
    }),
  )
})

test('beyond its bytes it forgets what was unused for longest', () => {
  const kept = createSetAside(350)
  const beginnings = [1, 2, 3].map((letter) => of([letter, letter], { size: 100 }))
  const has = (letter: number) => kept.longest({ prompt: [letter, letter, 9], adapter: undefined, exactly: false }) !== undefined
  const [first, second, third] = beginnings
  if (first === undefined || second === undefined || third === undefined) throw new Error('There are three.')
  kept.keep(first)
  kept.keep(second)
  expect(has(1)).toBe(true)
  kept.keep(third)
  expect([has(1), has(2), has(3)]).toEqual([true, true, true])
  kept.keep(of([4, 4], { size: 100 }))
  expect([has(1), has(2), has(3), has(4)]).toEqual([false, true, true, true])
  kept.keep(of([5, 5], { size: 1000 }))
  expect(has(5)).toBe(false)
})
