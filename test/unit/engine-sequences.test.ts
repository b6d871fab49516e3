import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Backend } from '../../src/engine/local/backend.ts'
import { createSequences, type Sequence } from '../../src/engine/local/sequences.ts'
import { createScriptedBackend } from '../fake-engine.ts'

type Cell = { readonly position: number; readonly owners: Set<number>; readonly repeats: boolean }

/** llama.cpp's memory: each token takes the lowest free cell (`find_slot` from the head, which every freeing sets back). */
function createCells(cacheSize: number, sequences: number) {
  const cells: Array<Cell | undefined> = Array.from({ length: cacheSize })
  const of = (sequence: number) =>
    cells.flatMap((cell, index) => (cell?.owners.has(sequence) ? [{ index, position: cell.position }] : []))
  const backend: Pick<Backend, 'copySequence' | 'truncateSequence' | 'firstPosition'> = {
    copySequence(source, target, length) {
      for (const cell of cells) if (cell?.owners.has(source) && cell.position < length) cell.owners.add(target)
    },
    truncateSequence(sequence, position) {
      for (const [index, cell] of cells.entries()) {
        if (cell === undefined || cell.position < position || !cell.owners.delete(sequence)) continue
        if (cell.owners.size === 0) cells[index] = undefined
      }
    },
    firstPosition: (sequence) => Math.min(...of(sequence).map(({ position }) => position), Number.MAX_SAFE_INTEGER),
  }
  return {
    backend: { ...createScriptedBackend({ answer: () => ({ pieces: [] }) }), ...backend, cacheSize, sequences } satisfies Backend,
    put(sequence: number, position: number, repeats: boolean) {
      const index = cells.indexOf(undefined)
      if (index < 0) throw new Error('More cells are used than there are.')
      cells[index] = { position, owners: new Set([sequence]), repeats }
    },
    /** The cells of a sequence in the order of its tokens. */
    inOrder: (sequence: number) =>
      of(sequence)
        .sort((a, b) => a.position - b.position)
        .map(({ index }) => index),
    allRepeat: (sequence: number) => cells.every((cell) => cell === undefined || !cell.owners.has(sequence) || cell.repeats),
    used: () => cells.filter((cell) => cell !== undefined).length,
  }
}

type Running = { readonly exactly: boolean; readonly prompt: readonly number[]; readonly choices: Sequence[]; grown: number }

const isAscending = (numbers: readonly number[]) =>
  numbers.every((number, place) => place === 0 || number > (numbers[place - 1] ?? 0))

test('what must repeat lies in ascending cells, begins with nothing computed otherwise, and never lacks room', () => {
  const action = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('start' as const),
        letters: fc.array(fc.nat(1), { minLength: 1, maxLength: 90, size: 'max' }),
        choices: fc.integer({ min: 1, max: 3 }),
        exactly: fc.boolean(),
      }),
    },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('grow' as const), which: fc.nat(9), repeats: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('end' as const), which: fc.nat(9) }) },
  )
  const room = 20
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120, size: 'max' }), (actions) => {
      const cells = createCells(300, 8)
      const running: Running[] = []
      const sequences = createSequences(cells.backend, () => !running.some(({ exactly }) => exactly))
      const put = (sequence: Sequence, tokens: readonly number[], repeats: boolean) => {
        for (const place of tokens.keys()) cells.put(sequence.id, sequence.tokens.length + place, repeats)
        sequences.append(sequence, tokens, repeats)
      }
      for (const one of actions) {
        if (one.do === 'start') {
          const { exactly, choices, letters: prompt } = one
          const sequence = sequences.take({ adapter: undefined, prompt, limit: room, room, choices, exactly })
          if (sequence === undefined) continue
          const request: Running = { exactly, prompt, choices: [sequence], grown: 0 }
          running.push(request)
          const left = prompt.slice(sequence.tokens.length)
          while (left.length > 0) {
            const piece = left.splice(0, 63)
            put(sequence, piece, exactly || piece.length % 2 === 0)
          }
          while (request.choices.length < choices) request.choices.push(sequences.fork(sequence))
        }
        const request = running[('which' in one ? one.which : 0) % Math.max(1, running.length)]
        if (request === undefined) continue
        if (one.do === 'end') {
          running.splice(running.indexOf(request), 1)
          for (const choice of request.choices) sequences.release(choice)
        }
        if (one.do === 'grow' && request.grown < room) {
          request.grown += 1
          for (const [index, choice] of request.choices.entries()) put(choice, [index], request.exactly || one.repeats)
        }
        for (const { exactly, choices } of running) {
          for (const { id, tokens } of choices) {
            const order = cells.inOrder(id)
            expect(order).toHaveLength(tokens.length)
            if (exactly) expect([isAscending(order), cells.allRepeat(id)]).toEqual([true, true])
          }
        }
      }
      for (const { choices } of running.splice(0)) for (const choice of choices) sequences.release(choice)
      while (sequences.evict());
      expect(cells.used()).toBe(0)
    }),
    { numRuns: 300 },
  )
})

describe('what lies in memory unused', () => {
  const letters = (letter: number, count: number) => Array.from({ length: count }, () => letter)

  /** After this, of ended requests the beginnings of these lengths are in memory. */
  function withEnded(lengths: readonly number[], { repeats = false } = {}) {
    const cells = createCells(5000, 32)
    const sequences = createSequences(cells.backend, () => true)
    const run = (letter: number, count: number) => {
      const prompt = letters(letter, count)
      const sequence = sequences.take({ adapter: undefined, prompt, limit: 10, room: 10, choices: 1, exactly: false })
      if (sequence === undefined) throw new Error('There is no room.')
      const own = prompt.slice(sequence.tokens.length)
      for (const place of own.keys()) cells.put(sequence.id, sequence.tokens.length + place, repeats)
      sequences.append(sequence, own, repeats)
      return { sequence, read: own.length }
    }
    for (const [letter, length] of lengths.entries()) sequences.release(run(letter, length).sequence)
    return { run, besides: (count: number) => Array.from({ length: count }, (_, index) => run(100 + index, 20)) }
  }

  test('serves again while few answers are under way, and is forgotten under a crowd if it is short', () => {
    const calm = withEnded([200])
    calm.besides(2)
    expect(calm.run(0, 200).read).toBe(1)
    const crowded = withEnded([200, 1000])
    crowded.besides(4)
    expect(crowded.run(0, 200).read).toBe(200)
    expect(crowded.run(1, 1000).read).toBe(1)
  })

  test('is left as it is where freeing would cost a request that must repeat its long beginning', () => {
    const { run, besides } = withEnded([200, 1000], { repeats: true })
    besides(4)
    expect(run(0, 200).read).toBe(1)
  })
})
