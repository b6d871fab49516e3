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
  const put = (sequence: number, position: number, repeats: boolean) => {
    const index = cells.indexOf(undefined)
    if (index < 0) throw new Error('More cells are used than there are.')
    cells[index] = { position, owners: new Set([sequence]), repeats }
  }
  const free = (sequence: number, isMeant: (position: number) => boolean) => {
    for (const [index, cell] of cells.entries()) {
      if (cell === undefined || !isMeant(cell.position) || !cell.owners.delete(sequence)) continue
      if (cell.owners.size === 0) cells[index] = undefined
    }
  }
  const saved = new Map<Uint8Array, readonly Cell[]>()
  let restored = 0
  let joined = 0
  type Memory = 'copySequence' | 'truncateSequence' | 'firstPosition' | 'saveSequence' | 'restoreSequence'
  const backend: Pick<Backend, Memory> = {
    saveSequence(sequence) {
      const bytes = new Uint8Array(1)
      const held = cells.flatMap((cell) => (cell?.owners.has(sequence) ? [cell] : []))
      saved.set(bytes, held)
      return bytes
    },
    restoreSequence(sequence, bytes) {
      restored += 1
      for (const { position, repeats } of saved.get(bytes) ?? []) put(sequence, position, repeats)
      return true
    },
    copySequence(source, target, length) {
      if (of(target).length > 0) joined += 1
      free(target, (position) => position < length)
      for (const cell of cells) if (cell?.owners.has(source) && cell.position < length) cell.owners.add(target)
    },
    truncateSequence(sequence, position) {
      free(sequence, (one) => one >= position)
    },
    firstPosition: (sequence) => Math.min(...of(sequence).map(({ position }) => position), Number.MAX_SAFE_INTEGER),
  }
  return {
    backend: { ...createScriptedBackend({ answer: () => ({ pieces: [] }) }), ...backend, cacheSize, sequences } satisfies Backend,
    put,
    /** The cells of a sequence in the order of its tokens. */
    inOrder: (sequence: number) =>
      of(sequence)
        .sort((a, b) => a.position - b.position)
        .map(({ index }) => index),
    allRepeat: (sequence: number) => cells.every((cell) => cell === undefined || !cell.owners.has(sequence) || cell.repeats),
    used: () => cells.filter((cell) => cell !== undefined).length,
    /** How often a sequence was brought back. */
    restored: () => restored,
    /** How often one that was brought back was made to share its beginning. */
    joined: () => joined,
  }
}

type Running = { readonly exactly: boolean; readonly prompt: readonly number[]; readonly choices: Sequence[]; grown: number }

const letters = (letter: number, count: number) => Array.from({ length: count }, () => letter)

const isAscending = (numbers: readonly number[]) =>
  numbers.every((number, place) => place === 0 || number > (numbers[place - 1] ?? 0))

test('what must repeat lies in ascending cells, begins with nothing computed otherwise, and never lacks room', () => {
  const action = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('start' as const),
        letters: fc.oneof(
          fc.array(fc.nat(1), { minLength: 1, maxLength: 90, size: 'max' }),
          fc.tuple(fc.nat(2), fc.integer({ min: 20, max: 160 })).map(([letter, count]) => letters(letter, count)),
        ),
        choices: fc.integer({ min: 1, max: 3 }),
        exactly: fc.boolean(),
      }),
    },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('grow' as const), which: fc.nat(9), repeats: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('end' as const), which: fc.nat(9) }) },
  )
  const room = 20
  let restored = 0
  let joined = 0
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
        expect(sequences.memory().heldTokens).toBe(cells.used())
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
      restored += cells.restored()
      joined += cells.joined()
    }),
    { numRuns: 500 },
  )
  expect(restored).toBeGreaterThan(0)
  expect(joined).toBeGreaterThan(0)
})

describe('what lies in memory unused', () => {
  /** After this, requests with prompts of these lengths have ended. */
  function withEnded(lengths: readonly number[], { exactly = false } = {}) {
    const cells = createCells(5000, 32)
    const sequences = createSequences(cells.backend, () => true)
    const run = (prompt: readonly number[], repeats = exactly) => {
      const sequence = sequences.take({ adapter: undefined, prompt, limit: 10, room: 10, choices: 1, exactly: repeats })
      if (sequence === undefined) throw new Error('There is no room.')
      const own = prompt.slice(sequence.tokens.length)
      for (const place of own.keys()) cells.put(sequence.id, sequence.tokens.length + place, repeats)
      sequences.append(sequence, own, repeats)
      return { sequence, read: own.length }
    }
    const end = (prompt: readonly number[]) => {
      const { sequence, read } = run(prompt)
      sequences.release(sequence)
      return read
    }
    for (const [letter, length] of lengths.entries()) end(letters(letter, length))
    return { run, end, release: sequences.release, used: cells.used, order: (sequence: Sequence) => cells.inOrder(sequence.id) }
  }

  test.each([false, true])(
    'is moved out as another answer begins, and brought back when it serves again (exactly: %s)',
    (exactly) => {
      const { run, used, order } = withEnded([200, 1000], { exactly })
      run(letters(100, 20))
      expect(used()).toBe(20)
      const [short, long] = [run(letters(0, 200)), run(letters(1, 1001))]
      expect([short.read, long.read]).toEqual([1, 1])
      expect([short, long].every(({ sequence }) => isAscending(order(sequence)))).toBe(true)
    },
  )

  test('is brought back beside answers that begin alike, and shares that with them', () => {
    const { run, end, used } = withEnded([])
    const conversation = (letter: number, length = 300) => [...letters(0, 2000), ...letters(letter, length)]
    for (const letter of [1, 2]) end(conversation(letter))
    end(letters(100, 20))
    const running = [1, 2, 3].map((letter) => run(conversation(letter, 301)))
    expect(running.map(({ read }) => read)).toEqual([1, 1, 301])
    expect(used()).toBe(2000 + 3 * 301)
  })

  test('serves what must repeat only if its cells lie in order', () => {
    const { run, release, order } = withEnded([], { exactly: true })
    const conversation = (letter: number) => [...letters(0, 2000), ...letters(letter, 300)]
    for (const letter of [1, 2]) release(run(conversation(letter)).sequence)
    const below = run(letters(100, 2400)).sequence
    const one = run([...conversation(1), 7], false).sequence
    release(below)
    // It comes back into lower cells, and takes its beginning from the higher ones.
    const two = run([...conversation(2), 7], false).sequence
    expect(isAscending(order(two))).toBe(false)
    release(one)
    release(two)
    const again = run([...conversation(2), 8])
    expect([again.read, isAscending(order(again.sequence))]).toEqual([301, true])
  })

  test('makes place aside for what was used later', () => {
    const { run, end, used } = withEnded([1000, 1000, 1000, 1000, 1000])
    end(letters(5, 1000))
    run(letters(6, 20))
    expect(used()).toBe(20)
    expect([run(letters(1, 1001)).read, run(letters(0, 1001)).read]).toEqual([1, 1001])
  })

  test('stays where the answer that begins goes on with it', () => {
    const { run, used } = withEnded([300])
    expect([run(letters(0, 310)).read, used()]).toEqual([10, 310])
  })

  test('is forgotten where little of it is its own', () => {
    const { run, used } = withEnded([30])
    run(letters(100, 20))
    expect([used(), run(letters(0, 30)).read]).toEqual([20, 30])
  })

  test('serves another prompt too that begins like it, and stays whole for those that go on with it', () => {
    const { run } = withEnded([500])
    run(letters(100, 20))
    expect(run([...letters(0, 400), 7]).read).toBe(1)
    expect(run([...letters(0, 500), 8]).read).toBe(1)
  })
})
