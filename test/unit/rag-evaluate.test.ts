import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareRecall, evaluate, isSameSource, type Reply } from '../../src/rag/evaluate.ts'
import { formatQuestions, parseQuestions, type Question } from '../../src/rag/question-set.ts'
import { bootstrap } from '../../src/statistics.ts'

const never = new AbortController().signal

const ask = (id: string, relevant: string[]): Question => ({ id, question: `Where is ${id}?`, relevant })

/** Sources numbered from 1. */
const found = (...sources: string[]): Reply => ({
  sources: sources.map((source, index) => ({ number: index + 1, source })),
  seconds: 1,
})

const answered = (reply: Reply, citations: number[], abstained = false): Reply => {
  return { ...reply, answer: { text: 'So it is.', abstained, citations } }
}

/** Evaluates with replies by id. */
const run = (replies: Record<string, Reply>, questions: readonly Question[], k = 10) =>
  evaluate(questions, { k, ask: async ({ id }) => replies[id] ?? found() }, never)

describe('what is found', () => {
  test('recall counts the questions with a right document among the first k sources, and MRR how high it stands', async () => {
    const questions = [ask('a', ['a.md']), ask('b', ['b.md', 'bb.md']), ask('c', ['c.md']), ask('d', ['d.md'])]
    const {
      recall,
      mrr,
      questions: results,
    } = await run({ a: found('a.md'), b: found('x.md', 'y.md', 'bb.md', 'b.md'), c: found('x.md', 'y.md') }, questions)
    expect([...recall].map(([k, { mean }]) => [k, mean])).toEqual([
      [1, 0.25],
      [3, 0.5],
      [5, 0.5],
      [10, 0.5],
    ])
    expect(mrr.mean).toBeCloseTo((1 + 1 / 3) / 4)
    expect(results.map(({ rank }) => rank)).toEqual([1, 3, undefined, undefined])
  })

  test('no recall is told beyond what was asked for', async () => {
    expect([...(await run({}, [ask('a', ['a'])], 4)).recall.keys()]).toEqual([1, 3, 4])
  })

  test('a right document below the tenth place counts nothing for MRR@10', async () => {
    const { mrr } = await run({ a: found(...'0123456789', 'a.md') }, [ask('a', ['a.md'])], 20)
    expect(mrr.mean).toBe(0)
  })

  test('a source is the document when it ends with its name after a separator', () => {
    expect(isSameSource('guide/a.md', 'guide/a.md')).toBe(true)
    expect(isSameSource('/home/ana/guide/a.md', 'guide/a.md')).toBe(true)
    expect(isSameSource('upload:a.md', 'a.md')).toBe(true)
    expect(isSameSource('guide/aa.md', 'a.md')).toBe(false)
    expect(isSameSource('a.md', 'guide/a.md')).toBe(false)
    expect(isSameSource('', 'a.md')).toBe(false)
  })
})

describe('what is answered', () => {
  test('citation precision is the share of all citations that name a right document', async () => {
    const { answers } = await run(
      {
        a: answered(found('a.md', 'x.md'), [1, 1, 2]),
        b: answered(found('x.md', 'b.md'), [2]),
        c: answered(found('c.md'), []),
        d: answered(found('d.md'), [1], true),
      },
      ['a', 'b', 'c', 'd'].map((id) => ask(id, [`${id}.md`])),
    )
    expect(answers).toEqual({ answered: 0.75, abstained: 0.25, cited: 2 / 3, citationPrecision: 3 / 4 })
  })

  test('without citations their precision is no number, and without answers there is nothing to tell', async () => {
    expect((await run({ a: answered(found('a.md'), []) }, [ask('a', ['a.md'])])).answers?.citationPrecision).toBeNaN()
    expect((await run({ a: found('a.md') }, [ask('a', ['a.md'])])).answers).toBeUndefined()
  })

  test('the time is that of the middle question, and of the slowest ones', async () => {
    const questions = Array.from({ length: 101 }, (_, index) => ask(String(index), ['a']))
    const replies = Object.fromEntries(questions.map(({ id }) => [id, { ...found('a'), seconds: Number(id) }]))
    expect((await run(replies, questions)).seconds).toEqual({ p50: 50, p95: 95 })
  })
})

describe('how sure it is', () => {
  test('the difference of two settings is taken question by question', async () => {
    const questions = Array.from({ length: 40 }, (_, index) => ask(`q${index}`, ['right']))
    const all = await run(Object.fromEntries(questions.map(({ id }) => [id, found('right')])), questions)
    const half = await run(Object.fromEntries(questions.slice(0, 20).map(({ id }) => [id, found('right')])), questions)
    const { mean, low, high } = compareRecall(all, half, 5)
    expect(mean).toBe(0.5)
    expect(low).toBeGreaterThan(0.3)
    expect(high).toBeLessThan(0.7)
    expect(compareRecall(all, all, 5)).toEqual({ mean: 0, low: 0, high: 0 })
    expect(compareRecall(half, all, 5).mean).toBe(-0.5)
  })

  test('an interval is the same for the same seed, and holds the mean', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 30 }),
        fc.nat(),
        (values, seed) => {
          const one = bootstrap(values, seed)
          expect(bootstrap(values, seed)).toEqual(one)
          expect(one.low).toBeLessThanOrEqual(one.high)
          expect(one.low).toBeGreaterThanOrEqual(Math.min(...values) - 1e-9)
          expect(one.high).toBeLessThanOrEqual(Math.max(...values) + 1e-9)
        },
      ),
      { numRuns: 30 },
    )
  })

  test('more questions make the interval narrower', () => {
    const coin = (length: number) => Array.from({ length }, (_, index) => index % 2)
    const width = ({ low, high }: { low: number; high: number }) => high - low
    expect(width(bootstrap(coin(400)))).toBeLessThan(width(bootstrap(coin(40))) / 2)
    // Of 400 throws of a coin the standard error of the mean is 0.025.
    expect(width(bootstrap(coin(400)))).toBeCloseTo(2 * 1.96 * 0.025, 1)
  })
})

test('recall never falls with k, and lies between MRR and 1', async () => {
  const names = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f')
  const reply = fc.uniqueArray(names, { maxLength: 6 }).map((sources) => found(...sources))
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(reply, fc.uniqueArray(names, { minLength: 1 })), { minLength: 1, maxLength: 8 }),
      async (pairs) => {
        const questions = pairs.map(([, relevant], index) => ask(String(index), relevant))
        const replies = Object.fromEntries(pairs.map(([one], index) => [String(index), one]))
        const { recall, mrr } = await run(replies, questions)
        const means = [...recall.values()].map(({ mean }) => mean)
        expect(means).toEqual(means.toSorted((one, other) => one - other))
        expect(mrr.mean).toBeLessThanOrEqual((means.at(-1) ?? 0) + 1e-12)
        expect(mrr.mean).toBeGreaterThanOrEqual((means[0] ?? 0) - 1e-12)
      },
    ),
    { numRuns: 50 },
  )
})

describe('question sets', () => {
  test('what is written is read again', () => {
    const text = fc.string({ minLength: 1, unit: 'grapheme' }).filter((one) => one.trim() !== '' && /\S/.test(one))
    const question = fc.record(
      { id: text, question: text, relevant: fc.array(text, { minLength: 1 }), answer: fc.string(), split: text },
      { requiredKeys: ['id', 'question', 'relevant'] },
    )
    fc.assert(
      fc.property(fc.uniqueArray(question, { minLength: 1, maxLength: 5, selector: ({ id }) => id }), (questions) => {
        expect(parseQuestions(formatQuestions(questions))).toEqual(questions)
      }),
    )
  })

  test('a question without an id is called by its line, and blank lines are nothing', () => {
    const [first, second] = parseQuestions(
      '\uFEFF{"question":"Who?","relevant":["a.md"]}\r\n\r\n{"id":"x","question":"How?","relevant":["b.md"]}\n',
    )
    expect([first?.id, second?.id]).toEqual(['1', 'x'])
  })

  test.each([
    ['', /no question/],
    ['{"question":"Who?","relevant":["a"]}\nnonsense', /Line 2 .*nonsense/],
    ['{"question":"Who?"}', /Line 1 /],
    ['{"question":" ","relevant":["a"]}', /Line 1 .*question/],
    ['{"question":"Who?","relevant":[]}', /Line 1 .*relevant/],
    ['{"question":"Who?","relevant":["a"],"relevent":["b"]}', /Line 1 /],
    ['{"id":"1","question":"A?","relevant":["a"]}\n{"id":"1","question":"B?","relevant":["a"]}', /"1" stands twice/],
  ])('%j is refused', (text, message) => {
    expect(() => parseQuestions(text)).toThrow(message)
  })
})
