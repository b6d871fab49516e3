import fc from 'fast-check'
import { expect, test } from 'vitest'
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
        kept.keep(of(own, { ...rest, exact }))
        let common = 0
        while (common < prompt.length - 1 && own[common] === prompt[common]) common += 1
        return rest.adapter === 'a' ? (exactly ? Math.min(common, exact) : common) : 0
      })
      expect(kept.longest({ prompt, adapter: 'a', exactly })?.length ?? 0).toBe(Math.max(0, ...lengths))
    }),
  )
})

test('there is room for so many tokens, in the place of what was of no use for longest', () => {
  const letters = (letter: number, count: number) => Array.from({ length: count }, () => letter)
  const kept = createSetAside(300)
  const find = (letter: number) => kept.longest({ prompt: letters(letter, 101), adapter: undefined, exactly: false })?.aside
  const all = [1, 2, 3].map((letter) => of(letters(letter, 100)))
  for (const aside of all) kept.keep(aside)
  expect([1, 2, 3].map(find)).toEqual(all)
  kept.touch(all[0] ?? of([]))
  kept.keep(of(letters(4, 150)))
  expect([1, 2, 3, 4].map((letter) => find(letter) !== undefined)).toEqual([true, false, false, true])
  kept.keep(of(letters(5, 301)))
  expect(find(5)).toBeUndefined()
  kept.forget(all[0] ?? of([]))
  expect(find(1)).toBeUndefined()
})
