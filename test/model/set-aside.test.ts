import { afterAll, expect, test } from 'vitest'
import { findLibrary, openLibrary } from '../../src/engine/local/libllama.ts'
import { openLlamaBackend } from '../../src/engine/local/llama-backend.ts'
import { realModelFile } from '../real-host.ts'

const library = findLibrary('cpu')
if (library === undefined) throw new Error('No llama.cpp library is installed here.')
const options = {
  path: realModelFile,
  contextSize: 512,
  cacheType: 'f16',
  maxParallel: 2,
  threads: 2,
  speculates: false,
  device: 'cpu',
} as const
const { backend } = openLlamaBackend(
  openLibrary(library, () => {}),
  options,
)
afterAll(() => backend.close())

/** Evaluates tokens of a sequence as a request that must repeat does; gives the scores of the last. */
function write(sequence: number, tokens: readonly number[], from: number): readonly number[] {
  const rows = tokens.map((token, index) => ({ token, position: from + index, sequence, output: index === tokens.length - 1 }))
  for (let at = 0; at < rows.length; at += 60) expect(backend.evaluate(rows.slice(at, at + 60), true)).toBe(true)
  return [...backend.scores((rows.length - 1) % 60)]
}

test('a sequence that was moved out of memory and back gives the same scores, to the last bit, though it lies elsewhere', () => {
  const text = 'The harbour town kept its lights low, and the ships that came at night found their way by sound. '.repeat(8)
  const tokens = backend.tokenize([{ text, special: false }]).slice(0, 151)
  const wanted = write(0, tokens, 0)
  backend.truncateSequence(0, 150)
  const saved = backend.saveSequence(0)
  backend.truncateSequence(0, 0)
  write(1, backend.tokenize([{ text: 'Other things lie there now.', special: false }]), 0)
  expect(backend.restoreSequence(2, saved)).toBe(true)
  expect(backend.firstPosition(2)).toBe(0)
  expect(write(2, tokens.slice(150), 150)).toEqual(wanted)
})

test('one that was brought back may begin with the cells of another that begins alike, and gives back its own', () => {
  for (const sequence of [0, 1, 2]) backend.truncateSequence(sequence, 0)
  const text = 'The ferry left at dawn, and the fishermen mended their nets along the quay until the rain came. '.repeat(8)
  const tokens = backend.tokenize([{ text, special: false }]).slice(0, 151)
  write(0, tokens.slice(0, 150), 0)
  const saved = backend.saveSequence(0)
  backend.truncateSequence(0, 0)
  // The same cells, in the same order: 100 tokens, a gap, and the other 50. What comes next lies in the gap.
  write(0, tokens.slice(0, 100), 0)
  write(1, tokens.slice(0, 100), 0)
  write(0, tokens.slice(100, 150), 100)
  backend.truncateSequence(1, 0)
  const wanted = write(0, tokens.slice(150), 150)
  backend.truncateSequence(0, 0)
  write(1, tokens.slice(0, 100), 0)
  expect(backend.restoreSequence(2, saved)).toBe(true)
  backend.copySequence(1, 2, 100)
  backend.truncateSequence(1, 0)
  expect(backend.firstPosition(2)).toBe(0)
  expect(write(2, tokens.slice(150), 150)).toEqual(wanted)
})

test('where there is no room for it, nothing comes back', () => {
  for (const sequence of [0, 1, 2]) backend.truncateSequence(sequence, 0)
  const tokens = Array.from({ length: 4000 }, (_, index) => 1000 + (index % 500))
  for (let at = 0; at < tokens.length; at += 500)
    backend.evaluate(
      tokens.slice(at, at + 500).map((token, index) => ({ token, position: at + index, sequence: 0, output: false })),
      false,
    )
  const saved = backend.saveSequence(0)
  backend.copySequence(0, 1, 4000)
  expect(backend.restoreSequence(2, saved)).toBe(true)
  expect(backend.restoreSequence(3, saved)).toBe(false)
  expect(backend.firstPosition(3)).toBe(-1)
})
