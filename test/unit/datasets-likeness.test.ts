import fc from 'fast-check'
import { expect, test } from 'vitest'
import { drawHeldOut } from '../../src/datasets/read/draw-held-out.ts'
import { createJoined } from '../../src/datasets/read/joined.ts'
import { normalize, signatureOf, similarity } from '../../src/datasets/read/min-hash.ts'
import { createNearDuplicates, nearDuplicateSimilarity } from '../../src/datasets/read/near-duplicates.ts'
import { createRows } from '../../src/datasets/read/surveyed-rows.ts'
import type { TrainingExample } from '../../src/engine/train/example.ts'

const word = fc.string({ unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyzñéá'), minLength: 2, maxLength: 9 })
const prose = (minLength: number, maxLength: number) => fc.array(word, { minLength, maxLength })

/** The numbers that are like the first one. */
function likeFirst(texts: readonly string[]): readonly number[] {
  const near = createNearDuplicates()
  for (const text of texts) near.add(text)
  const joined = createJoined()
  for (const [one, other] of near.findPairs()) joined.join(one, other)
  return texts.flatMap((_, number) => (number > 0 && joined.find(number) === 0 ? [number] : []))
}

function exactSimilarity(one: string, other: string): number {
  const grams = (text: string) =>
    new Set(Array.from({ length: Math.max(1, text.length - 4) }, (_, start) => text.slice(start, start + 5)))
  const [first, second] = [grams(one), grams(other)]
  const common = [...first].filter((gram) => second.has(gram)).length
  return common / (first.size + second.size - common)
}

test('a text with one changed word, other punctuation and other capitals is a near-duplicate, among others that are not', () => {
  fc.assert(
    fc.property(prose(60, 120), word, fc.nat(), fc.array(prose(30, 60), { maxLength: 5 }), (words, other, at, others) => {
      const changed = words
        .with(at % words.length, other)
        .join(', ')
        .toUpperCase()
      const unlike = others.map((one) => one.join(' '))
      expect(likeFirst([words.join(' '), ...unlike, changed])).toEqual([others.length + 1])
    }),
  )
})

test('texts that share less than half of their words are no near-duplicates', () => {
  fc.assert(
    fc.property(prose(20, 60), prose(60, 120), (shared, rest) => {
      expect(likeFirst([shared.join(' '), [...shared, ...rest].join(' ')])).toEqual([])
    }),
  )
})

test('the signatures estimate the Jaccard similarity', () => {
  fc.assert(
    fc.property(prose(20, 60), prose(0, 40), prose(0, 40), (shared, one, other) => {
      const [first, second] = [normalize([...shared, ...one].join(' ')), normalize([...shared, ...other].join(' '))]
      // Five standard errors at most.
      expect(Math.abs(similarity(signatureOf(first), signatureOf(second)) - exactSimilarity(first, second))).toBeLessThan(0.23)
    }),
  )
  expect(nearDuplicateSimilarity).toBe(0.8)
})

test('texts without letters are told apart, and equal ones are not', () => {
  expect(likeFirst(['🙂', '🙃', '🙂'])).toEqual([2])
})

test('very many texts that share their beginning are compared with a few each', () => {
  const near = createNearDuplicates()
  const count = 20_000
  for (let number = 0; number < count; number += 1) near.add('the same text for all of them, word for word')
  const pairs = [...near.findPairs()]
  expect(pairs.length).toBe(20 * (count - 1))
})

const groups = fc.uniqueArray(
  fc.record({ key: fc.string(), rows: fc.integer({ min: 1, max: 20 }), conversations: fc.integer({ min: 1, max: 5 }) }),
  { selector: ({ key }) => key, maxLength: 60 },
)
const draw = { share: fc.double({ min: 0, max: 0.5, noNaN: true }), seed: fc.nat() }

test('what is held out fits into its share, is the same for the same seed in any order, and something where there is enough', () => {
  fc.assert(
    fc.property(groups, fc.record(draw), (all, options) => {
      const held = drawHeldOut(all, options)
      expect([...drawHeldOut(all.toReversed(), options)].sort()).toEqual([...held].sort())
      const rowsOf = (ones: typeof all) => ones.reduce((sum, { rows }) => sum + rows, 0)
      const conversations = all.reduce((sum, one) => sum + one.conversations, 0)
      const heldRows = rowsOf(all.filter(({ key }) => held.has(key)))
      if (heldRows > options.share * rowsOf(all)) expect(held.size).toBe(1)
      if (all.length > 0) expect(held.size).toBeLessThan(all.length)
      if (options.share === 0) expect(held.size).toBe(0)
      else if (conversations >= 10 && all.length > 1) expect(held.size).toBeGreaterThan(0)
    }),
  )
})

test('another seed draws others', () => {
  const all = Array.from({ length: 100 }, (_, index) => ({ key: String(index), rows: 1, conversations: 1 }))
  const [one, other] = [drawHeldOut(all, { share: 0.1, seed: 1 }), drawHeldOut(all, { share: 0.1, seed: 2 })]
  expect([one.size, other.size]).toEqual([10, 10])
  expect(one).not.toEqual(other)
})

const turn = (question: string, answer: string): TrainingExample => ({
  type: 'chat',
  messages: [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ],
})

test('rows of one conversation, and those that are nearly alike, are on the same side', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(prose(25, 40), fc.boolean()), { minLength: 10, maxLength: 30 }), fc.nat(), (texts, seed) => {
      const rows = createRows()
      const pairs: Array<readonly [number, number]> = []
      for (const [words, isFollowed] of texts) {
        const [question, answer] = [words.slice(0, 12).join(' '), words.slice(12).join(' ')]
        const place = rows.count()
        rows.add(turn(question, answer), place)
        // Another answer to the same question; the same with a mark more.
        rows.add(isFollowed ? turn(question, words.toReversed().join(' ')) : turn(`${question}?`, answer), place + 1)
        pairs.push([place, place + 1])
      }
      const { rowAt, report } = rows.compare({ heldOut: 0.2, seed, exclude: [] })
      for (const [one, other] of pairs) expect(rowAt(one).isHeldOut).toBe(rowAt(other).isHeldOut)
      expect(report.split.heldOutRows).toBeGreaterThan(0)
      expect(report.split.heldOutRows + report.split.trainRows).toBe(2 * texts.length)
    }),
    { numRuns: 30 },
  )
})

test('a system prompt that all rows share makes no near-duplicates of them', () => {
  const rows = createRows()
  const long = 'You are a helpful assistant that answers briefly and politely. '.repeat(20)
  for (const topic of ['the tides of the sea', 'how bread is baked', 'who painted it'])
    rows.add(
      {
        type: 'chat',
        messages: [
          { role: 'system', content: long },
          { role: 'user', content: topic },
          { role: 'assistant', content: `${topic}: yes` },
        ],
      },
      1,
    )
  expect(rows.compare({ heldOut: 0, seed: 0, exclude: [] }).report.flags).toEqual([])
})

const countries = 'France Spain Italy Peru Cuba Chile Japan Kenya Egypt Norway Sweden Poland Greece Ireland Austria'.split(' ')
/** Questions of which nearly all characters are the same. */
const inOneForm: Readonly<Record<string, (country: string) => TrainingExample>> = {
  'a long instruction, and one word as the answer': (country) =>
    turn(
      `You are a teacher. Answer the question of the pupil with one word only, without punctuation: what is the capital of ${country}?`,
      country.toUpperCase(),
    ),
  'one of few labels as the answer': (country) =>
    turn(
      `Classify this message of a customer as complaint, praise or question: "Where is my parcel from ${country}, please?"`,
      'question',
    ),
  'an answer in one form too': (country) =>
    turn(`¿Cuál es el horario de la tienda de ${country}?`, `La tienda de ${country} abre de lunes a viernes, de 9:00 a 14:00.`),
}

for (const [name, exampleOf] of Object.entries(inOneForm))
  test(`questions that are put in one form are not alike: ${name}`, () => {
    const rows = createRows()
    for (const [place, country] of countries.entries()) rows.add(exampleOf(country), place)
    const { report } = rows.compare({ heldOut: 0.2, seed: 0, exclude: [] })
    expect(report.flags).toEqual([])
    expect(report.split).toMatchObject({ groups: countries.length, heldOutRows: 3, trainRows: 12 })
  })

test('among questions in one form, those that say the same with other signs and capitals are near-duplicates', () => {
  const rows = createRows()
  const [exampleOf] = Object.values(inOneForm)
  for (const [place, country] of countries.entries()) if (exampleOf !== undefined) rows.add(exampleOf(country), place)
  rows.add(
    turn(
      'you are a teacher -- answer the question of the pupil with one word only, without punctuation: what is the capital of Peru ?',
      'Peru',
    ),
    99,
  )
  const { report } = rows.compare({ heldOut: 0, seed: 0, exclude: [] })
  expect(report.flags).toEqual([{ flag: 'near-duplicate', count: 1, examples: [{ line: 99, firstLine: 3 }] }])
})

test('lines of text have no form: a text that comes often, a little changed, stays one text', () => {
  const rows = createRows()
  const text =
    'the quick brown fox jumps over the lazy dog, and then it runs back into the dark and silent forest behind the hill'
  for (let place = 0; place < 12; place += 1) rows.add({ type: 'text', text: `${text} ${place}` }, place)
  expect(rows.compare({ heldOut: 0, seed: 0, exclude: [] }).report.split.groups).toBe(1)
})
