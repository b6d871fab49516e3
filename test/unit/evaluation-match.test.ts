import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readGeneralCompletions, readGeneralQuestions, toExample } from '../../src/evaluation/general-set.ts'
import { readVerdict } from '../../src/evaluation/judge.ts'
import { compareMatches, matchAnswer, normalizeAnswer, wordSimilarity } from '../../src/evaluation/match-answer.ts'

describe('an answer', () => {
  test.each([
    ['Paris.', 'paris'],
    ['  PARIS  \n', 'Paris'],
    ['the  Pacific\nOcean!', 'The Pacific Ocean'],
    ['Peque\u006e\u0303o', 'pequeño'],
    ['¿Madrid?', 'Madrid'],
    ['¡Martes!…', 'martes'],
  ])('%j is %j but for case, spaces and marks at the end', (answer, reference) => {
    expect(matchAnswer(answer, [reference])).toEqual({ exact: true, contains: true, similarity: 1 })
  })

  test('holds a reference only as whole words', () => {
    expect(matchAnswer('There are 12 months.', ['12', 'twelve'])).toMatchObject({ exact: false, contains: true })
    expect(matchAnswer('There are 120 months.', ['12'])).toMatchObject({ contains: false })
    expect(matchAnswer('A categoría', ['gato'])).toMatchObject({ contains: false })
    expect(matchAnswer('Paristown, or Paris', ['paris'])).toMatchObject({ contains: true })
    expect(matchAnswer('3.14', ['3.1'])).toMatchObject({ contains: false })
  })

  test('is compared with the nearest of several references', () => {
    expect(matchAnswer('William Shakespeare', ['Shakespeare', 'William Shakespeare'])).toMatchObject({ exact: true })
    expect(matchAnswer('', ['x'])).toEqual({ exact: false, contains: false, similarity: 0 })
  })

  test('whatever it is, is itself, and normalizing again changes nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(matchAnswer(text, [text])).toMatchObject({ exact: true, similarity: 1 })
        expect(normalizeAnswer(normalizeAnswer(text))).toBe(normalizeAnswer(text))
      }),
    )
  })

  test('shares words in the same measure in both directions, 0 to 1', () => {
    const words = fc.array(fc.constantFrom('a', 'b', 'c', 'ñu')).map((list) => list.join(' '))
    fc.assert(
      fc.property(words, words, (one, other) => {
        const similarity = wordSimilarity(one, other)
        expect(similarity).toBe(wordSimilarity(other, one))
        expect(similarity).toBeGreaterThanOrEqual(0)
        expect(similarity).toBeLessThanOrEqual(1)
      }),
    )
    expect(wordSimilarity('the red house', 'a red house')).toBeCloseTo(2 / 3)
  })

  test('is nearer when it is exact, then when it holds the reference, then by its words', () => {
    const match = (answer: string) => matchAnswer(answer, ['the red house'])
    const inOrder = ['far', 'a red barn', 'I see the red house over there', 'The red house.'].map(match)
    for (const [at, one] of inOrder.entries()) {
      for (const [below, other] of inOrder.entries()) expect(Math.sign(compareMatches(one, other))).toBe(Math.sign(at - below))
    }
  })
})

describe('a verdict', () => {
  test.each([
    ['{"verdict":"A"}', 'A'],
    ['```json\n{ "verdict" : "tie" }\n```', 'tie'],
    ['Answer B is shorter. {"verdict":"B"}', 'B'],
    ['{"verdict": "TIE"', 'tie'],
    ['B', 'B'],
    ['**A**', 'A'],
    ['', undefined],
    ['Answer A is better.', undefined],
    ['{"verdict":"C"}', undefined],
    ['{"verdict":"A"} or {"verdict":"B"}', undefined],
    ['{"verdict":null}', undefined],
  ])('of %j is %j', (text, verdict) => {
    expect(readVerdict(text)).toBe(verdict)
  })

  test('is read from any text without failing', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(['A', 'B', 'tie', undefined]).toContain(readVerdict(text))
      }),
    )
  })
})

describe('the general set', () => {
  test('has fifty completions and twenty-five questions, half in each language, none twice', async () => {
    const [completions, questions] = [await readGeneralCompletions(), await readGeneralQuestions()]
    expect([completions.length, questions.length]).toEqual([50, 25])
    expect(completions.filter(({ language }) => language === 'es')).toHaveLength(25)
    expect(questions.filter(({ language }) => language === 'es')).toHaveLength(12)
    for (const list of [completions, questions]) expect(new Set(list.map(({ id }) => id)).size).toBe(list.length)
    expect(new Set([...completions.map(({ prompt }) => prompt), ...questions.map(({ question }) => question)]).size).toBe(75)
    for (const { answers } of questions) for (const answer of answers) expect(normalizeAnswer(answer)).not.toBe('')
  })

  test('is chats to be answered and texts to go on with', async () => {
    const examples = (await readGeneralCompletions()).map(toExample)
    expect(examples.filter(({ type }) => type === 'chat')).toHaveLength(26)
    expect(examples.find(({ type }) => type === 'text')).toEqual({
      type: 'text',
      text: 'The heart is a muscle that pumps blood through the body.',
    })
  })
})
