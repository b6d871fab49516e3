import { expect, test } from 'vitest'
import type { AnswersBody, EvaluationReport, ExampleBody, LikelihoodBody } from '../../src/evaluation/report-schema.ts'
import type { EvaluationItem, ListedEvaluation } from '../../src/evaluation/schema.ts'
import { type Asked, createScriptedCli, spanish, streamOf } from './cli-scripted.ts'

const estimate = (value: number) => ({ value, low: value / 2, high: value * 1.5 })
const likelihood = (texts: number, change: number): LikelihoodBody => ({
  ...{ texts, left_out: 0, most_worse: [] },
  baseline: { loss: 2, perplexity: 7.389, tokens: 100 },
  candidate: { loss: 1.5, perplexity: 4.4817, tokens: 100 },
  change_percent: estimate(change),
})
const answered = (share: number | null, speed: number | null, failed: number): AnswersBody['baseline'] => ({
  ...{ exact_match: share === null ? null : estimate(share), contains: null },
  ...{ mean_characters: 1234.4, mean_tokens: 9, tokens_per_second: speed, failed },
})
const answers = (questions: number, failed: number): AnswersBody => ({
  ...{ questions, left_out: 0, only_candidate_exact: 1, only_baseline_exact: 0, sign_test: 0.5 },
  ...{ baseline: answered(0.25, null, 0), candidate: answered(null, 10, failed), candidate_nearer: 1, baseline_nearer: 0 },
})
const accuracy = (share: number) => ({ pairs: 4, right: 4 * share, accuracy: estimate(share) })
const contestant = (model: string) => ({ model, provider: 'hf', ran_on: 'local' as const })
const nothing: EvaluationReport = {
  ...{ kind: 'gate', baseline: contestant('base'), candidate: contestant('tuned'), dataset: null, judge: null, verdict: null },
  likelihood: { unavailable: null, held_out: null, preferences: null, forgetting: null, rated_up: null },
  answers: { held_out: null, general: null, conversations: null },
  examples: [],
}
const listed: ListedEvaluation = {
  ...{ id: 'e1', kind: 'gate', state: 'completed', baseline: 'base', candidate: 'tuned', dataset_id: null, run_id: null },
  ...{ passed: true, progress: null, error: null, created_by: null, created_at: '2026-01-02T03:04:05.000Z', ended_at: null },
}
const evaluationOf = (report: EvaluationReport | null, more: Partial<EvaluationItem> = {}): EvaluationItem => ({
  ...{ ...listed, request: { kind: 'gate', candidate: 'tuned' }, report },
  ...more,
})

async function show(report: EvaluationReport, variables: Record<string, string> = {}): Promise<string> {
  const { run } = await createScriptedCli({ 'GET /training/evaluations/e1': evaluationOf(report) }, { variables })
  return (await run('train evaluations e1')).output
}

const dataset = { id: 'd1', name: 'talks', version: 2, held_out_rows: 8, scored_rows: 4 }
const whole: EvaluationReport = {
  ...nothing,
  dataset,
  likelihood: {
    ...{ unavailable: null, held_out: likelihood(4, -25), forgetting: likelihood(50, 0.04), rated_up: likelihood(3, 10) },
    preferences: { ...{ pairs: 4, left_out: 0, by_reward: accuracy(0.75) }, by_sum: both(0.5), by_mean: both(1) },
  },
  answers: { held_out: answers(4, 2), general: answers(25, 0), conversations: null },
}

function both(share: number) {
  return { baseline: accuracy(share), candidate: accuracy(share) }
}

test('everything that was measured stands in a table, each figure in its column', async () => {
  const [head = '', ...lines] = (await show(whole)).split('\n')
  const columns = ['base', 'tuned', 'difference'].map((name) => head.indexOf(name))
  expect(columns.every((column) => column > 0)).toBe(true)
  const cells = lines.slice(0, 13).map((line) => [0, ...columns].map((from, at, all) => line.slice(from, all[at + 1]).trim()))
  expect(cells).toEqual([
    ['held-out loss', '2.0000', '1.5000', '-25.0 % (-12.5 % … -37.5 %)'],
    ['held-out perplexity', '7.39', '4.48', ''],
    ['loss on general texts', '2.0000', '1.5000', '0.0 % (0.0 % … +0.1 %)'],
    ['loss on answers rated up', '2.0000', '1.5000', '+10.0 % (+5.0 % … +15.0 %)'],
    ['pairs decided right (by reward)', '', '75.0 % (37.5–112.5)', ''],
    ['pairs decided right (by sum)', '50.0 % (25.0–75.0)', '50.0 % (25.0–75.0)', ''],
    ['pairs decided right (by mean)', '100.0 % (50.0–150.0)', '100.0 % (50.0–150.0)', ''],
    ['held-out questions: exact', '25.0 % (12.5–37.5)', '–', 'by chance: 50.0 %'],
    ['held-out questions: holds the answer', '–', '–', ''],
    ['general questions: exact', '25.0 % (12.5–37.5)', '–', 'by chance: 50.0 %'],
    ['general questions: holds the answer', '–', '–', ''],
    ['characters of an answer', '1,234', '1,234', ''],
    ['tokens/s', '–', '10.0', ''],
  ])
  expect(lines[13]).toMatch(/^questions without an answer {2,}0 {2,}2$/)
  expect(lines[14]).toContain('4 held-out, 50 general. Questions: 29.')
})

test('what was not measured has no line, and why the texts were not scored is said', async () => {
  const output = await show({
    ...nothing,
    likelihood: { ...nothing.likelihood, unavailable: 'A model of a cloud scores nothing.' },
  })
  expect(output.trimEnd().split('\n').slice(1)).toEqual([
    expect.stringContaining('0 held-out, 0 general. Questions: 0.'),
    'A model of a cloud scores nothing.',
  ])
})

test('answers that people rated up are counted where nothing was held out', async () => {
  const output = await show({ ...nothing, likelihood: { ...nothing.likelihood, rated_up: likelihood(3, 10) } })
  expect(output).toContain('3 held-out, 0 general. Questions: 0.')
})

test.each([
  ['no-dataset', null, true, 'No dataset was named', 'PASSES'],
  ['nothing', dataset, null, 'Nothing held out of talks:2 could be measured (8 rows)', 'UNDECIDED'],
  ['few', dataset, false, 'Only 4 held-out examples of talks:2', 'DOES NOT PASS'],
  ['enough', dataset, true, undefined, 'PASSES'],
] as const)('a verdict on %s of a dataset says what it is worth', async (amount, of, passed, note, word) => {
  const bounds = { low: null, high: null }
  const output = await show({
    ...{ ...whole, dataset: of },
    verdict: {
      ...{ passed, held_out: amount },
      criteria: [
        { name: 'held_out_loss', passed: true, value: -25, ...bounds, threshold: 0, unit: 'percent' },
        { name: 'exact_match', passed: false, value: 4, ...bounds, threshold: 0, unit: 'points' },
        { name: 'judge_win_rate', passed: null, value: null, ...bounds, threshold: 0.5, unit: 'share' },
      ],
    },
  })
  const lines = output.trimEnd().split('\n')
  expect(lines.slice(-4)).toEqual([
    '✓ held-out loss: -25.0 % (at most 0.0 %; below zero is better)',
    '✗ exact answers: -4.0 points (at least 0.0 points)',
    '? win rate: not measured (at least 50.0 %)',
    word,
  ])
  if (note === undefined) expect(lines.at(-5)).toBe('')
  else expect(lines.at(-5)).toContain(note)
})

test('the judge is told with what speaks against it', async () => {
  const output = await show(
    {
      ...nothing,
      judge: {
        ...{
          model: 'judge',
          ran_on: 'local',
          compared: 10,
          wins: 5,
          losses: 3,
          ties: 2,
          inconsistent: 1,
          identical: 1,
          broken: 4,
        },
        ...{ failures: {}, first_place: { verdicts: 16, first: 12 }, win_rate: estimate(0.6) },
      },
    },
    spanish,
  )
  expect(output).toContain(
    '\n\nEl juez judge: 5 victorias, 2 empates, 3 derrotas de tuned; tasa de victorias 60,0 % (30,0–90,0).\n',
  )
  expect(output).toContain(
    'En 1 cambió de opinión con el orden; 4 veredictos no se pudieron leer; prefirió la primera respuesta 12 de 16 veces.',
  )
})

const said = (text: string | null, error: string | null = null): ExampleBody['baseline'] => ({
  ...{ text, error, exact: null, contains: null, tokens: 1, tokens_per_second: null },
})
const example = (at: number, more: Partial<ExampleBody> = {}): ExampleBody => ({
  ...{ set: 'held-out', question: `Question ${at}`, reference: 'right', nearer: 'candidate', judged: null, past: null },
  ...{ baseline: said('wrong'), candidate: said('right'), ...more },
})

test('differences are ten at most, each on its lines, and conversations all of them', async () => {
  const examples = [
    example(0, { nearer: 'same' }),
    example(1, { nearer: 'baseline', reference: null, baseline: said('A\u001b[31m\n  B'), candidate: said(null, 'It failed.') }),
    example(2, { question: '😀'.repeat(120), candidate: said(null) }),
    ...Array.from({ length: 12 }, (_, at) => example(3 + at)),
    example(20, { set: 'conversation', nearer: null }),
    example(21, { set: 'conversation', nearer: null, candidate: said('wrong') }),
  ]
  const lines = (await show({ ...nothing, examples })).split('\n')
  const from = lines.indexOf('Where they differ:')
  expect(lines.slice(from + 1, from + 9)).toEqual([
    ...['', '  Question 1', '    + base: A[31m B', '      tuned: It failed.'],
    ...['', `  ${'😀'.repeat(99)}… → right`, '      base: wrong', '    + tuned: '],
  ])
  expect(lines.filter((line) => line.startsWith('  Question'))).toHaveLength(10)
  expect(lines).toContain('  Question 20 → right')
  expect(lines.slice(-3)).toEqual(['', '  … and 4 more (--json shows all)', ''])
})

test('a person sees one line change, and a judge of two models is asked for', async () => {
  const progress = (stage: string, done: number) => ({ event: 'progress', data: { stage, done, total: 2 } })
  const script = {
    'POST /training/evaluations': evaluationOf(null),
    'GET /training/evaluations/e1': () =>
      streamOf(progress('judge', 1), progress('judge', 2), { event: 'done', data: evaluationOf(nothing) }),
  }
  const person = await createScriptedCli(script, { isPerson: true })
  const { code, notes } = await person.run('models compare base tuned --judge other')
  expect({ code, notes }).toEqual({
    code: 0,
    notes: 'Evaluation e1: tuned beside base\n\r\u001b[K  The judge compares: 1 of 2\r\u001b[K  The judge compares: 2 of 2\n',
  })
  expect(person.asked[0]?.body).toEqual({ kind: 'upgrade', a: 'base', b: 'tuned', judge: 'other' })
  const { run } = await createScriptedCli(script)
  expect((await run('models compare base tuned')).notes).toBe('Evaluation e1: tuned beside base\n  The judge compares: 1 of 2\n')
})

test('evaluations are listed page by page, with a verdict where there is one', async () => {
  const items: readonly ListedEvaluation[] = [
    listed,
    { ...listed, id: 'e2', passed: null },
    { ...listed, id: 'e3', kind: 'upgrade', passed: null },
    { ...listed, id: 'e4', state: 'running', passed: null },
  ]
  const { run } = await createScriptedCli({
    'GET /training/evaluations': ({ query }: Asked) =>
      query.get('cursor') === 'more'
        ? { items: items.slice(2), next_cursor: null }
        : { items: items.slice(0, 2), next_cursor: 'more' },
    'GET /training/evaluations/e5': evaluationOf(null, { state: 'cancelled' }),
    'GET /training/evaluations/e6': evaluationOf(null, { state: 'failed', error: { code: 'busy', message: 'No room.' } }),
  })
  expect((await run('train evaluations')).output).toBe(
    [
      '2026-01-02 03:04  e1  gate  tuned / base  completed  PASSES\n',
      '2026-01-02 03:04  e2  gate  tuned / base  completed  UNDECIDED\n',
      '2026-01-02 03:04  e3  upgrade  tuned / base  completed\n',
      '2026-01-02 03:04  e4  gate  tuned / base  running\n',
    ].join(''),
  )
  expect((await run('train evaluations e5')).notes).toBe('The evaluation is cancelled.\n')
  expect((await run('train evaluations e6')).notes).toBe('The evaluation is failed. No room.\n')
})

test('an evaluation whose watching ends before it does fails', async () => {
  const { run } = await createScriptedCli({
    'GET /health': { status: 'ok' },
    'POST /training/evaluations': evaluationOf(null),
    'GET /training/evaluations/e1': () => streamOf(),
  })
  expect(await run('models compare base tuned')).toMatchObject({
    code: 1,
    notes: expect.stringContaining('went away in the middle'),
  })
})
