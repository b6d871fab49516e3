import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Block, cleanBlocks } from '../../src/rag/extract/blocks.ts'
import { outlineBlocks } from '../../src/rag/extract/sections.ts'
import { type CountTokens, type SplitOptions, splitText } from '../../src/rag/split-text.ts'

/** As WordPiece counts: letters of a word in groups of four, each sign and each ideograph alone; very long words are one unknown token. */
const countWords: CountTokens = async (texts) =>
  texts.map((text) =>
    (text.match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? []).reduce(
      (sum, word) => sum + (word.length > 100 ? 1 : Math.ceil(word.length / 4)),
      0,
    ),
  )
/** A tokenizer for which a text has more tokens than its parts. */
const countMore: CountTokens = async (texts) =>
  texts.map((text) => Math.ceil((text.match(/\S+/g) ?? []).length * 1.3 + text.length / 50))

const options: SplitOptions = { chunkTokens: 40, windowTokens: 64 }
const text = (words: number, seed = 0) => Array.from({ length: words }, (_, index) => `w${(index * 7 + seed) % 97}`).join(' ')

const word = fc.oneof(
  { weight: 8, arbitrary: fc.stringMatching(/^[a-z]{1,12}[.,!?]?$/) },
  fc.constantFrom(
    'niño',
    '日本語テキスト',
    `a${'🙂'.repeat(120)}`,
    '👩‍👩‍👧‍👦',
    'https://example.org/a/very/long/path?with=values',
    '。',
    '—',
    'e.g.',
  ),
  fc.stringMatching(/^[a-z0-9]{100,400}$/),
)
const words = fc
  .tuple(fc.array(word, { minLength: 1, maxLength: 120 }), fc.constantFrom(' ', ' ', '\n'))
  .map(([list, space]) => list.join(space))
const block: fc.Arbitrary<Block> = fc.oneof(
  fc.record({
    type: fc.constant('heading' as const),
    text: fc.array(word, { minLength: 1, maxLength: 6 }).map((list) => list.join(' ')),
    level: fc.integer({ min: 1, max: 4 }),
  }),
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constantFrom('paragraph' as const, 'list-item' as const, 'table-row' as const),
      text: words,
      page: fc.integer({ min: 1, max: 9 }),
    }),
  },
  fc.record({
    type: fc.constant('code' as const),
    text: fc.array(words, { minLength: 1, maxLength: 8 }).map((lines) => lines.join('\n  ')),
  }),
)
const blocksOf = fc.array(block, { minLength: 1, maxLength: 12 })

for (const [name, count] of Object.entries({ countWords, countMore })) {
  test(`nothing is lost, offsets are right, order is kept and no chunk is over the budget (${name})`, async () => {
    await fc.assert(
      fc.asyncProperty(
        blocksOf,
        fc.integer({ min: 16, max: 80 }),
        fc.integer({ min: 0, max: 20 }),
        async (blocks, chunkTokens, overlapTokens) => {
          const outlined = outlineBlocks(cleanBlocks(blocks))
          const chunks = await splitText(outlined, { chunkTokens, windowTokens: 100, overlapTokens }, count)
          const seen = new Uint8Array(outlined.text.length)
          let last = -1
          for (const chunk of chunks) {
            expect(chunk.text).toBe(outlined.text.slice(chunk.startOffset, chunk.endOffset))
            expect(chunk.text.trim()).not.toBe('')
            expect(chunk.text.isWellFormed()).toBe(true)
            expect(chunk.startOffset).toBeGreaterThan(last)
            last = chunk.startOffset
            seen.fill(1, chunk.startOffset, chunk.endOffset)
          }
          const lost = [...seen.keys()].filter((index) => seen[index] === 0).map((index) => outlined.text.charAt(index))
          expect(lost.join('').trim()).toBe('')
          const counts = await count(chunks.map((chunk) => chunk.text))
          expect(Math.max(...counts)).toBeLessThanOrEqual(chunkTokens)
        },
      ),
      { numRuns: 80 },
    )
  })
}

test('a chunk and the headings above it fit into the window together', async () => {
  const headings = [1, 2, 3].map((level): Block => ({ type: 'heading', level, text: text(8, level) }))
  const outlined = outlineBlocks([...headings, { type: 'paragraph', text: text(500) }])
  const chunks = await splitText(outlined, { chunkTokens: 60, windowTokens: 64 }, countWords)
  for (const { text: own, section = '' } of chunks) {
    const [tokens = 0] = await countWords([`${section}\n${own}`])
    expect(tokens).toBeLessThanOrEqual(64)
  }
})

test('small sections share a chunk under the headings that they share, larger ones have their own', async () => {
  const outlined = outlineBlocks([
    { type: 'heading', level: 1, text: 'Boats' },
    { type: 'heading', level: 2, text: 'Sails' },
    { type: 'paragraph', text: 'The mainsail is the largest.' },
    { type: 'heading', level: 2, text: 'Anchors' },
    { type: 'paragraph', text: 'The anchor weighs nine kilos.' },
    { type: 'heading', level: 1, text: 'Crew' },
    { type: 'paragraph', text: 'Five people sail her.' },
  ])
  expect(await splitText(outlined, { ...options, chunkTokens: 1000, windowTokens: 1100 }, countWords)).toMatchObject([
    { section: 'Boats', text: 'Boats\n\nSails\n\nThe mainsail is the largest.\n\nAnchors\n\nThe anchor weighs nine kilos.' },
    { section: 'Crew', text: 'Crew\n\nFive people sail her.' },
  ])
  expect(await splitText(outlined, { ...options, chunkTokens: 16, title: 'Handbook' }, countWords)).toMatchObject([
    { section: 'Handbook > Boats > Sails', text: 'Boats\n\nSails\n\nThe mainsail is the largest.' },
    { section: 'Handbook > Boats > Anchors', text: 'Anchors\n\nThe anchor weighs nine kilos.' },
    { section: 'Handbook > Crew', text: 'Crew\n\nFive people sail her.' },
  ])
})

test('a long text is cut between paragraphs and sentences, into chunks of about the same size', async () => {
  const sentence = (index: number) => `Sentence ${index} has exactly eight words in it.`
  const paragraphs = [0, 1, 2, 3, 4, 5].map(
    (row): Block => ({ type: 'paragraph', text: [0, 1].map((column) => sentence(row * 2 + column)).join(' ') }),
  )
  const chunks = await splitText(outlineBlocks(paragraphs), options, countWords)
  for (const { text: own } of chunks) expect(own).toMatch(/^Sentence.*it\.$/s)
  const counts = await countWords(chunks.map((chunk) => chunk.text))
  expect(Math.min(...counts)).toBeGreaterThan(Math.max(...counts) / 2)
})

test('a repeated end is whole sentences of the chunk before', async () => {
  const sentences = Array.from({ length: 12 }, (_, index) => `Number ${index} is here now.`).join(' ')
  const chunks = await splitText(
    outlineBlocks([{ type: 'paragraph', text: sentences }]),
    { ...options, chunkTokens: 30, overlapTokens: 12 },
    countWords,
  )
  expect(chunks.length).toBeGreaterThan(1)
  for (const [index, chunk] of chunks.entries()) {
    const before = chunks[index - 1]
    if (before === undefined) continue
    expect(chunk.startOffset).toBeLessThan(before.endOffset)
    expect(chunk.text).toMatch(/^Number/)
  }
})

test('pages of a chunk are those of its first and its last sentence', async () => {
  const outlined = outlineBlocks([
    { type: 'paragraph', page: 3, text: 'One.' },
    { type: 'paragraph', page: 4, text: 'Two.' },
  ])
  expect(await splitText(outlined, options, countWords)).toMatchObject([{ page: 3, lastPage: 4 }])
})

test('a letter that has more tokens than a chunk may have is a chunk of its own', async () => {
  const outlined = outlineBlocks([{ type: 'paragraph', text: 'ab 🙂c' }])
  const chunks = await splitText(outlined, options, async (texts) => texts.map(() => 50))
  expect(chunks.map((chunk) => chunk.text)).toEqual(['a', 'b', '🙂', 'c'])
})

test('a title is not told twice, and what has no heading stands under it', async () => {
  const sectionsOf = async (title: string, ...blocks: readonly Block[]) =>
    (await splitText(outlineBlocks(blocks), { ...options, title }, countWords)).map(({ section }) => section)
  const paragraph: Block = { type: 'paragraph', text: 'Text.' }
  expect(await sectionsOf('Boats', paragraph)).toEqual(['Boats'])
  expect(await sectionsOf('Boats', { type: 'heading', text: 'Boats' }, paragraph)).toEqual(['Boats'])
  expect(await sectionsOf('', paragraph)).toEqual([undefined])
})

test.each([8, 65])('a budget of %d tokens outside of the window is refused with the numbers', async (chunkTokens) => {
  await expect(splitText(outlineBlocks([]), { ...options, chunkTokens }, countWords)).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringContaining('64'),
  })
})

test('a word that a tokenizer takes for one unknown token is cut all the same', async () => {
  const chunks = await splitText(outlineBlocks([{ type: 'paragraph', text: 'x'.repeat(10_000) }]), options, countWords)
  expect(chunks.length).toBeGreaterThan(20)
  expect(chunks.map((chunk) => chunk.text).join('')).toBe('x'.repeat(10_000))
})
