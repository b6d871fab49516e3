import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createLateGrammar } from '../../src/engine/local/late-grammar.ts'
import { createFakeGrammar } from '../fake-grammar.ts'

/** Tokens are known by their text or bytes; the empty one ends the answer. */
function createWorld({ grammar = 'root ::= "yes" | "no"\n', after = '</think>', repeats = false, required = false } = {}) {
  const pieces: Buffer[] = [Buffer.alloc(0)]
  const tokenOf = (piece: string | Uint8Array) => {
    const bytes = Buffer.from(piece)
    const known = pieces.findIndex((one) => one.equals(bytes))
    return known < 0 ? pieces.push(bytes) - 1 : known
  }
  const pieceOf = (token: number) => pieces[token] ?? Buffer.alloc(0)
  const open = new Set<object>()
  const state = createLateGrammar({
    grammar,
    after,
    repeats,
    required,
    pieceOf,
    isEnd: (token) => token === 0,
    createGrammar(text, root) {
      const made = createFakeGrammar(text, { textOf: (token) => pieceOf(token).toString(), end: 0 }, root)
      const counted = { ...made, close: () => void open.delete(counted) }
      open.add(counted)
      return counted
    },
  })
  return {
    open,
    close: state.close,
    allows: (...texts: string[]) => state.allowed(texts.map(tokenOf)),
    /** Says whether each token was allowed, up to the first that was not. */
    say(...texts: (string | Uint8Array)[]) {
      for (const token of texts.map(tokenOf)) {
        if (state.allowed([token])[0] !== true) return false
        state.accept(token)
      }
      return true
    },
  }
}

describe('a grammar that begins later', () => {
  test('leaves the answer free until the text has come, and holds behind it', () => {
    const { say, allows } = createWorld()
    expect(say('maybe', ' no', '</think>')).toBe(true)
    expect(allows('maybe', 'y', 'no', '', '</think>')).toEqual([false, true, true, false, false])
    expect(say('y', 'es')).toBe(true)
    expect(allows('', 's', '</think>')).toEqual([true, false, false])
    expect(say('')).toBe(true)
  })

  test('begins where the text is split over tokens, also within a character', () => {
    const { say, allows } = createWorld({ after: '…é→' })
    const [first, second] = [Buffer.from('é').subarray(0, 1), Buffer.from('é→').subarray(1)]
    expect(say('x…', 'x…', first, second)).toBe(true)
    expect(allows('x', 'yes')).toEqual([false, true])
  })

  test('allows a token that goes on behind the text only as the grammar allows it', () => {
    const { say, allows } = createWorld()
    expect(say('hm</th')).toBe(true)
    expect(allows('ink>', 'ink>y', 'ink>x', 'ink>yes', 'ink>yesno', 'ink')).toEqual([true, true, false, true, false, true])
    expect(say('ink>n', 'o', '')).toBe(true)
  })

  test('lets the answer end before the text comes, unless it must come', () => {
    expect(createWorld().say('no thoughts', '')).toBe(true)
    const { say, allows } = createWorld({ required: true })
    expect(allows('', 'x')).toEqual([false, true])
    expect(say('x</think>', 'yes', '')).toBe(true)
  })

  test('closes what it opened', () => {
    const { say, open, close } = createWorld()
    expect(say('</think>y')).toBe(true)
    expect(open.size).toBe(1)
    close()
    expect(open.size).toBe(0)
  })

  test('holds from the same place on, wherever the borders of tokens are', () => {
    const free = fc.string({ unit: fc.constantFrom('<', '/', 't', '>', 'é') })
    fc.assert(
      fc.property(free, fc.constantFrom('yes', 'no', 'nay'), fc.array(fc.nat(40)), (before, said, cuts) => {
        const text = `${before}</t>${said}`
        const borders = [...new Set([0, ...cuts.filter((cut) => cut < text.length), text.length])].sort((a, b) => a - b)
        const { say } = createWorld({ after: '</t>' })
        const behind = text.slice(text.indexOf('</t>') + '</t>'.length)
        const isWhole = behind === 'yes' || behind === 'no'
        expect(say(...borders.slice(1).map((to, index) => text.slice(borders[index], to)), '')).toBe(isWhole)
      }),
    )
  })
})

describe('a grammar that begins again and again', () => {
  const call = { grammar: 'root ::= [0-9]+ "</call>"\n', after: '<call>', repeats: true }

  test('leaves the answer free when it is whole, and holds when the text comes again', () => {
    const { say, allows } = createWorld(call)
    expect(say('I call ', '<call>', '12', '</call>')).toBe(true)
    expect(allows('x', '', '<call>')).toEqual([true, true, true])
    expect(say(' and ', '<call>3')).toBe(true)
    expect(allows('x', '', '4', '</call>')).toEqual([false, false, true, true])
    expect(say('</call>', '')).toBe(true)
  })

  test('takes nothing from before for the beginning of the text', () => {
    const { say, allows } = createWorld(call)
    expect(say('<ca', 'll>', '1', '</call>', 'll>')).toBe(true)
    expect(allows('free', '')).toEqual([true, true])
  })

  test('may be whole with the token that begins it', () => {
    const { say, open } = createWorld(call)
    expect(say('<call>1</call>', 'free')).toBe(true)
    expect(open.size).toBe(0)
  })

  test('must come once, if it must come', () => {
    const { say, allows } = createWorld({ ...call, required: true })
    expect(allows('')).toEqual([false])
    expect(say('<call>', '1', '</call>', '')).toBe(true)
  })
})
