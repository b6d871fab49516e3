import { expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { runGate } from '../../src/evaluation/gate.ts'
import { chatExample, cloud, gatePlan, local, run, scriptedWork } from '../evaluation-work.ts'

const heldOut = Array.from({ length: 10 }, (_, at) => chatExample(`q${at}`, `answer ${at}`))

/** Both answer differently to all; `judge` sees the question as a judge gets it. */
const judged = (judge: (question: string) => string | AppError) =>
  scriptedWork({ heldOut, answer: (model, question) => (model === 'judge' ? judge(question) : `${model} says ${question}`) })

const plan = gatePlan({ judge: local('judge') })
const firstOf = (question: string) => /\[Answer A\]\n(\w+)/.exec(question)?.[1]

test('a judge that prefers one in both orders is heard', async () => {
  const work = judged((question) => `{"verdict":"${firstOf(question) === 'tuned' ? 'A' : 'B'}"}`)
  const { judge, examples } = await runGate(work, plan, run)
  expect(judge).toMatchObject({
    model: 'judge',
    ran_on: 'local',
    compared: 35,
    wins: 35,
    losses: 0,
    inconsistent: 0,
    first_place: { verdicts: 70, first: 35 },
    win_rate: { value: 1, high: 1 },
  })
  expect(examples.every(({ judged: verdict }) => verdict === 'win')).toBe(true)
})

test('a judge that always prefers what stands first is seen through', async () => {
  const { judge } = await runGate(
    judged(() => '{"verdict":"A"}'),
    plan,
    run,
  )
  expect(judge).toMatchObject({
    compared: 35,
    wins: 0,
    losses: 0,
    inconsistent: 35,
    first_place: { verdicts: 70, first: 70 },
    win_rate: { value: 0.5 },
  })
  expect(judge?.win_rate?.low).toBeLessThan(0.5)
})

test('verdicts that cannot be read, and failures of the judge, are counted and not lost', async () => {
  let calls = 0
  const work = judged(() => {
    calls += 1
    if (calls <= 2) return 'I would rather not say.'
    if (calls <= 4) return new AppError('upstream', 'It is down.')
    return '{"verdict":"tie"}'
  })
  const { judge, examples } = await runGate(work, plan, run)
  expect(judge).toMatchObject({ compared: 33, ties: 33, broken: 2, failures: { upstream: 2 }, win_rate: { value: 0.5 } })
  expect(examples.slice(0, 3).map(({ judged: verdict }) => verdict)).toEqual(['broken', 'broken', 'tie'])
})

test('a judge that never answers leaves no win rate, and what was measured before stays', async () => {
  const report = await runGate(
    judged(() => new AppError('forbidden', 'LOCAL_ONLY.')),
    plan,
    run,
  )
  expect(report.judge).toMatchObject({ compared: 0, broken: 35, failures: { forbidden: 70 }, win_rate: null })
  expect(report.answers.general?.questions).toBe(25)
})

test('the same answer twice is a tie without asking, and nobody judges where one has failed', async () => {
  const work = scriptedWork({
    heldOut: [chatExample('q0', 'a'), chatExample('q1', 'b')],
    answer: (model, question) => {
      if (model === 'judge') return 'A'
      return model === 'tuned' && question === 'q1' ? new AppError('invalid', 'No.') : 'the same'
    },
  })
  const { judge, examples } = await runGate(work, plan, run)
  expect(judge).toMatchObject({ compared: 26, identical: 26, broken: 0 })
  expect(examples.slice(0, 2).map(({ judged: verdict }) => verdict)).toEqual(['identical', null])
  expect(work.asked.some(({ model }) => model === 'judge')).toBe(false)
})

test('a judge sees both answers in both orders under a schema, and no name', async () => {
  const work = scriptedWork({
    heldOut,
    answer: (model, question) => (model === 'judge' ? 'tie' : `${model === 'tuned' ? 'new' : 'old'} ${question}`),
  })
  await runGate(work, gatePlan({ judge: cloud('judge') }), run)
  const [first, second] = work.asked.filter(({ model }) => model === 'judge')
  const texts = [first, second].map((asked) => JSON.stringify(asked?.prompt))
  for (const text of texts) {
    expect(text).not.toMatch(/tuned|"base"/)
    expect(text).toContain('[Reference]\\nanswer 0')
  }
  expect(texts[0]).toMatch(/Answer A\]\\nnew q0.*Answer B\]\\nold q0/)
  expect(texts[1]).toMatch(/Answer A\]\\nold q0.*Answer B\]\\nnew q0/)
  expect(first?.format).toMatchObject({ type: 'json-schema', schema: { additionalProperties: false } })
})
