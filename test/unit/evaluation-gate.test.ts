import { describe, expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { runGate } from '../../src/evaluation/gate.ts'
import { readGeneralQuestions } from '../../src/evaluation/general-set.ts'
import { decideVerdict, resolveThresholds } from '../../src/evaluation/verdict.ts'
import { chatExample, cloud, gatePlan, local, pairExample, run, scriptedWork } from '../evaluation-work.ts'

const general = await readGeneralQuestions()
/** A model that knows all that is general. */
const knows = (question: string) => general.find((one) => one.question === question)?.answers[0]

describe('likelihood', () => {
  const heldOut = [chatExample('q1', 'aaaa'), chatExample('q2', 'bbbbbbbb'), { type: 'text', text: 'cccc' } as const]

  test('compares the loss of held-out texts and of general ones', async () => {
    const work = scriptedWork({
      heldOut,
      // The candidate takes half as much for what it has learned, and a tenth more for all else.
      nats: (model, _example, text) => text.length * (model === 'base' ? 1 : /^[abc]+$/.test(text) ? 0.5 : 1.1),
    })
    const { likelihood, verdict } = await runGate(work, gatePlan(), run)
    expect(likelihood.held_out).toMatchObject({
      texts: 3,
      left_out: 0,
      baseline: { loss: 2, perplexity: Math.exp(2), tokens: 8 },
      candidate: { loss: 1, perplexity: Math.E, tokens: 8 },
      change_percent: { value: -50, low: -50, high: -50 },
      most_worse: [],
    })
    expect(likelihood.forgetting).toMatchObject({ texts: 50, change_percent: { value: expect.closeTo(10, 9) } })
    expect(likelihood.forgetting?.most_worse).toHaveLength(5)
    expect(likelihood.preferences).toBeNull()
    expect(verdict).toMatchObject({
      passed: false,
      criteria: [
        { name: 'held_out_loss', passed: true, value: -50, threshold: 0, unit: 'percent' },
        { name: 'forgetting', passed: false, value: expect.closeTo(10, 9), threshold: 3 },
        { name: 'exact_match', passed: true, value: 0 },
      ],
    })
  })

  test('names the texts that have become least likely, and leaves out what one of them cannot score', async () => {
    const work = scriptedWork({
      heldOut: [...heldOut, chatExample('q', '')],
      nats: (model, _example, text) => (model === 'tuned' && text === 'cccc' ? 6 : text.length),
    })
    const { likelihood } = await runGate(work, gatePlan(), run)
    expect(likelihood.held_out).toMatchObject({
      texts: 3,
      left_out: 1,
      change_percent: { value: 12.5 },
      most_worse: [{ text: 'cccc', baseline: 2, candidate: 3 }],
    })
  })

  test('tells chosen from rejected by reward, by sum and by mean', async () => {
    const pairs = [pairExample('q1', 'right', 'wrong!'), pairExample('q2', 'good', 'no'), pairExample('q3', 'fine', 'fine')]
    const work = scriptedWork({
      heldOut: pairs,
      nats: (model, _example, text) => text.length - (model === 'tuned' && text === 'good' ? 1 : 0),
    })
    const { likelihood } = await runGate(work, gatePlan(), run)
    expect(likelihood.held_out).toBeNull()
    expect(likelihood.preferences).toMatchObject({
      pairs: 3,
      left_out: 0,
      // One was moved the right way; of two nothing changed, which counts half.
      by_reward: { right: 2, accuracy: { value: 2 / 3 } },
      // "right" is shorter than "wrong!", "good" is longer than "no", and the last are the same.
      by_sum: { baseline: { right: 1.5 }, candidate: { right: 1.5 } },
      by_mean: { candidate: { pairs: 3 } },
    })
    expect(likelihood.preferences?.by_mean.candidate.right).toBeGreaterThan(likelihood.preferences?.by_mean.baseline.right ?? 9)
  })

  test('is not known of a model elsewhere: the rest is measured, and those criteria neither pass nor fail', async () => {
    const work = scriptedWork({ heldOut })
    const { likelihood, answers, verdict } = await runGate(work, gatePlan({ baseline: cloud('opus') }), run)
    expect(likelihood).toMatchObject({ unavailable: expect.stringContaining('"opus"'), held_out: null, forgetting: null })
    expect(answers.general?.questions).toBe(25)
    expect(verdict?.criteria.map(({ passed }) => passed)).toEqual([null, null, true])
    expect(verdict?.passed).toBe(true)
  })
})

describe('answers', () => {
  test('are compared with the references, and the differences shown', async () => {
    const right: Record<string, string> = { q1: 'One.', q2: 'It is two, of course', q3: 'three blind cats' }
    const work = scriptedWork({
      heldOut: [
        chatExample('q1', 'one'),
        chatExample('q2', 'two'),
        chatExample('q3', 'three blind mice'),
        { type: 'text', text: 'x' },
      ],
      answer: (model, question) => knows(question) ?? (model === 'tuned' ? (right[question] ?? '') : 'no idea'),
    })
    const report = await runGate(work, gatePlan(), run)
    expect(report.answers.held_out).toMatchObject({
      questions: 3,
      left_out: 1,
      baseline: { exact_match: { value: 0 }, contains: { value: 0 }, mean_tokens: 4, tokens_per_second: 10, failed: 0 },
      candidate: { exact_match: { value: 1 / 3 }, contains: { value: 2 / 3 } },
      only_candidate_exact: 1,
      only_baseline_exact: 0,
      sign_test: 1,
      candidate_nearer: 3,
      baseline_nearer: 0,
    })
    expect(report.answers.general).toMatchObject({ questions: 25, baseline: { exact_match: { value: 1, high: 1 } } })
    expect(report.examples).toHaveLength(28)
    expect(report.examples[0]).toEqual({
      set: 'held-out',
      question: 'q1',
      reference: 'one',
      baseline: { text: 'no idea', exact: false, contains: false, tokens: 4, tokens_per_second: 10, error: null },
      candidate: { text: 'One.', exact: true, contains: true, tokens: 2, tokens_per_second: 10, error: null },
      nearer: 'candidate',
      judged: null,
      past: null,
    })
    expect(report.examples.at(-1)).toMatchObject({ set: 'general', nearer: 'same' })
  })

  test('are asked for one model after the other, at most as many as wanted, up to the last answer that is learned', async () => {
    const long = {
      type: 'chat',
      messages: [
        { role: 'system', content: 's' },
        { role: 'user', content: 'first' },
        { role: 'assistant', content: 'learned' },
        { role: 'user', content: 'second' },
        { role: 'assistant', content: 'only read' },
      ],
      learned: [2],
    } as const
    const work = scriptedWork({ heldOut: [long, chatExample('q2', 'two')] })
    const report = await runGate(work, gatePlan({ maxQuestions: 1 }), run)
    expect(report.answers.held_out).toMatchObject({ questions: 1, left_out: 1 })
    expect(work.asked.map(({ model }) => model)).toEqual([...Array(26).fill('base'), ...Array(26).fill('tuned')])
    expect(work.asked[0]?.prompt).toEqual({ type: 'chat', messages: long.messages.slice(0, 2) })
    expect(report.examples[0]).toMatchObject({ question: 'first', reference: 'learned' })
  })

  test('that fail are counted, and are further than any other', async () => {
    const work = scriptedWork({
      heldOut: [chatExample('q1', 'one')],
      answer: (model, question) =>
        model === 'tuned' && question === 'q1' ? new AppError('context_length_exceeded', 'Too long.') : 'nothing',
    })
    const { answers, examples } = await runGate(work, gatePlan(), run)
    expect(answers.held_out).toMatchObject({ baseline: { failed: 0 }, candidate: { failed: 1 }, baseline_nearer: 1 })
    expect(examples[0]?.candidate).toMatchObject({ text: null, exact: null, error: 'Too long.' })
  })

  test('of a model that answers nothing at all fail the evaluation with its reason', async () => {
    const refusal = new AppError('invalid', 'It needs 9 GB, but the budget is 8 GB.')
    const work = scriptedWork({ answer: (model) => (model === 'tuned' ? refusal : 'x') })
    await expect(runGate(work, gatePlan(), run)).rejects.toBe(refusal)
  })

  test('are asked for again where the service is busy, and given up after a while', async () => {
    let busy = 2
    const work = scriptedWork({
      answer: () => (busy-- > 0 ? new AppError('busy', 'Later.', { retryAfterSeconds: 3 }) : 'x'),
    })
    expect((await runGate(work, gatePlan(), run)).answers.general?.baseline.failed).toBe(0)
    expect(work.waits).toEqual([3000, 3000])
    const never = scriptedWork({ answer: () => new AppError('busy', 'Later.') })
    await expect(runGate(never, gatePlan(), run)).rejects.toMatchObject({ code: 'busy' })
    expect(never.waits).toEqual([5000, 5000, 5000, 5000, 5000])
  })
})

test('the same evaluation gives the same report twice', async () => {
  const script = {
    heldOut: Array.from({ length: 30 }, (_, at) => chatExample(`q${at}`, `answer ${at}`)),
    nats: (model: string, _example: unknown, text: string) => text.length * (model === 'base' ? 1 : 0.9 + (text.length % 7) / 20),
    answer: (model: string, question: string) => `${model === 'base' ? 'answer' : 'reply'} ${question.slice(1)}`,
  }
  const reports = [await runGate(scriptedWork(script), gatePlan(), run), await runGate(scriptedWork(script), gatePlan(), run)]
  expect(reports[1]).toEqual(reports[0])
  const change = reports[0]?.likelihood.held_out?.change_percent
  expect(change?.low).toBeLessThan(change?.value ?? Number.NaN)
  expect(change?.high).toBeGreaterThan(change?.value ?? Number.NaN)
})

test('progress is told stage by stage', async () => {
  const told: string[] = []
  const onProgress = ({ stage, done, total }: { stage: string; done: number; total: number }) => {
    if (done === 0) told.push(`${stage} ${total}`)
  }
  const work = scriptedWork({ heldOut: [chatExample('q', 'a')], answer: (model) => (model === 'judge' ? 'tie' : model) })
  await runGate(work, gatePlan({ judge: local('judge') }), { ...run, onProgress })
  expect(told).toEqual(['score-baseline 51', 'score-candidate 51', 'answer-baseline 26', 'answer-candidate 26', 'judge 26'])
})

describe('the verdict', () => {
  const nothing = {
    likelihood: { unavailable: null, held_out: null, preferences: null, forgetting: null, rated_up: null },
    answers: { held_out: null, general: null, conversations: null },
    judge: null,
    dataset: null,
  }

  test('does not pass when nothing could be measured', () => {
    expect(decideVerdict(nothing, resolveThresholds())).toMatchObject({ passed: false })
  })

  test('is open where nothing held out tells what was learned, though all else is measured', async () => {
    const { likelihood, answers, verdict } = await runGate(scriptedWork({ heldOut: [] }), gatePlan(), run)
    expect([likelihood.forgetting?.texts, answers.general?.questions]).toEqual([50, 25])
    expect(verdict).toMatchObject({ passed: null, held_out: 'nothing' })
    expect(verdict?.criteria.map(({ name, passed }) => `${name} ${passed}`)).toEqual([
      'held_out_loss null',
      'forgetting true',
      'exact_match true',
    ])
    const worse = scriptedWork({ nats: (model, _example, text) => text.length * (model === 'base' ? 1 : 2) })
    expect((await runGate(worse, gatePlan(), run)).verdict).toMatchObject({ passed: false, held_out: 'nothing' })
    const unasked = resolveThresholds({ held_out_loss_percent: null, preference_accuracy: null })
    expect((await runGate(scriptedWork(), gatePlan({ thresholds: unasked }), run)).verdict).toMatchObject({ passed: true })
    expect((await runGate(scriptedWork(), gatePlan({ datasetId: undefined }), run)).verdict).toMatchObject({
      passed: true,
      held_out: 'no-dataset',
    })
  })

  test('says whether few or enough examples tell what was learned', async () => {
    const amountOf = async (count: number) => {
      const heldOut = Array.from({ length: count }, (_, at) => ({ type: 'text', text: `text ${at}` }) as const)
      return (await runGate(scriptedWork({ heldOut }), gatePlan(), run)).verdict?.held_out
    }
    expect([await amountOf(1), await amountOf(9), await amountOf(10)]).toEqual(['few', 'few', 'enough'])
  })

  test('of a dataset of pairs is by the pairs, half of which must be decided right', async () => {
    const pairs = Array.from({ length: 10 }, (_, at) => pairExample(`q${at}`, 'right', 'wrong'))
    const moving = (nats: number) =>
      scriptedWork({
        heldOut: pairs,
        nats: (model, _example, text) => text.length + (model === 'tuned' && text === 'right' ? nats : 0),
      })
    const verdicts = [await runGate(moving(-1), gatePlan(), run), await runGate(moving(1), gatePlan(), run)]
    expect(verdicts.map(({ verdict }) => verdict)).toMatchObject([
      { passed: true, criteria: [{}, {}, { name: 'preference_accuracy', value: 1, passed: true, threshold: 0.5 }] },
      { passed: false, criteria: [{}, {}, { name: 'preference_accuracy', value: 0, passed: false }] },
    ])
  })

  test('keeps to the thresholds that are given, and leaves out those that are null', () => {
    const off = { held_out_loss_percent: null, forgetting_percent: null, exact_match_points: null }
    expect(decideVerdict(nothing, resolveThresholds({ ...off, preference_accuracy: null })).criteria).toEqual([])
    const strict = resolveThresholds({ ...off, preference_accuracy: 0.6, judge_win_rate: 0.5 })
    const accuracy = { pairs: 10, right: 6, accuracy: { value: 0.6, low: 0.3, high: 0.8 } }
    const each = { baseline: accuracy, candidate: accuracy }
    const preferences = { pairs: 10, left_out: 0, by_reward: accuracy, by_sum: each, by_mean: each }
    const { passed, criteria } = decideVerdict({ ...nothing, likelihood: { ...nothing.likelihood, preferences } }, strict)
    expect({ passed, criteria }).toMatchObject({
      passed: true,
      criteria: [
        { name: 'preference_accuracy', passed: true, value: 0.6, low: 0.3, high: 0.8, threshold: 0.6, unit: 'share' },
        { name: 'judge_win_rate', passed: null, value: null },
      ],
    })
  })
})
