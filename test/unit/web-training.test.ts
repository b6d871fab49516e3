import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ExampleBody } from '../../src/evaluation/report-schema.ts'
import { emptyForm, nameOfFile, toFeedbackBody, toUpload } from '../../web/training/datasets/dataset-body.ts'
import { rowTurns } from '../../web/training/datasets/row-turns.ts'
import { type DiffPiece, diffWords } from '../../web/training/evaluations/diff-words.ts'
import { toGateBody } from '../../web/training/evaluations/gate-body.ts'
import { filterExamples, standingOf } from '../../web/training/evaluations/report-view.ts'
import { toRule } from '../../web/training/rollouts/rule-body.ts'
import { withShare } from '../../web/training/rollouts/shares.ts'
import { boundsOf, emptyRunForm, fieldNames, toRunBody } from '../../web/training/runs/fields.ts'
import { addSteps, lossConfig, smooth, thin, upTo } from '../../web/training/runs/loss-chart.ts'

describe('the differences of two texts', () => {
  const own = (pieces: readonly DiffPiece[]) => pieces.filter(({ isOwn }) => isOwn).map(({ text }) => text)
  const whole = (pieces: readonly DiffPiece[]) => pieces.map(({ text }) => text).join('')

  test('are words, with their neighbours in one piece', () => {
    const { before, after } = diffWords('The capital is Paris, of course.', 'The capital is Saltbridge, of course!')
    expect([own(before), own(after)]).toEqual([
      ['Paris', '.'],
      ['Saltbridge', '!'],
    ])
    expect(own(diffWords('same', 'same').before)).toEqual([])
    expect(own(diffWords('', 'all new').after)).toEqual(['all new'])
  })

  test('leave the texts as they are, and what is common the same in both', () => {
    const text = fc.array(fc.constantFrom('a', 'b', 'ñ', ' ', '\n', '.', '😀', '<img>')).map((words) => words.join(''))
    fc.assert(
      fc.property(text, text, (one, other) => {
        const { before, after } = diffWords(one, other)
        expect([whole(before), whole(after)]).toEqual([one, other])
        const common = (pieces: readonly DiffPiece[]) => whole(pieces.filter(({ isOwn }) => !isOwn))
        expect(common(before)).toBe(common(after))
      }),
    )
  })

  test('of very long texts are told at once: all between the common ends', () => {
    const long = (word: string) => `start ${Array.from({ length: 5000 }, (_, at) => `${word}${at}`).join(' ')} end`
    const startedAt = performance.now()
    const { before, after } = diffWords(long('a'), long('b'))
    expect(performance.now() - startedAt).toBeLessThan(500)
    expect([before.length, after.length]).toEqual([3, 3])
    expect(before[0]).toEqual({ text: 'start ', isOwn: false })
  })
})

describe('the chart of the loss', () => {
  const stepOf = (step: number, loss = 1 / step) => {
    return { step, epoch: 1, loss, learning_rate: 1, gradient_norm: 1, tokens: 1, ms: 1 }
  }
  const steps = (count: number) => Array.from({ length: count }, (_, at) => stepOf(at + 1))

  test('has some hundred points at most, and always the last', () => {
    expect(thin(steps(600))).toHaveLength(600)
    const thinned = thin(steps(10_000), 100)
    expect(thinned.length).toBeLessThanOrEqual(101)
    expect(thinned.at(-1)?.step).toBe(10_000)
    expect(thin([], 10)).toEqual([])
  })

  test('is smoothed without a pull towards zero', () => {
    const flat = steps(5).map(({ step }) => ({ x: step, y: 3 }))
    for (const { y } of smooth(flat, 0.9)) expect(y).toBeCloseTo(3)
    const [first, second] = smooth(
      [
        { x: 1, y: 4 },
        { x: 2, y: 0 },
      ],
      0.5,
    )
    expect([first?.y, second?.y]).toEqual([4, 4 / 3])
  })

  test('takes each step once, also when a run has gone back', () => {
    const told = addSteps(steps(5), [stepOf(4, 9), stepOf(5, 8)])
    expect(told.map(({ step, loss }) => [step, loss])).toEqual([
      [1, 1],
      [2, 0.5],
      [3, 1 / 3],
      [4, 9],
      [5, 8],
    ])
    expect(addSteps([], [])).toEqual([])
    expect(upTo(steps(5), 2)).toHaveLength(2)
  })

  test('shows the held-out loss by epoch, and only where there is one', () => {
    const epoch = { epoch: 1, step: 2, train_loss: 1, preference_accuracy: null }
    const words = { train: 'a', smoothed: 'b', heldOut: 'c', step: 'd', loss: 'e' }
    const options = { isLogarithmic: true, isSmoothed: true, colors: ['#111111', '#222222', '#333333'], words } as const
    const { data, options: drawn } = lossConfig(
      steps(4),
      [
        { ...epoch, held_out_loss: 2 },
        { ...epoch, epoch: 2, step: 4, held_out_loss: null },
      ],
      options,
    )
    expect(data.datasets.map(({ label, data }) => [label, data.length])).toEqual([
      ['a', 4],
      ['b', 4],
      ['c', 1],
    ])
    expect(drawn?.scales?.y?.type).toBe('logarithmic')
    expect(lossConfig(steps(4), [], { ...options, isSmoothed: false }).data.datasets).toHaveLength(2)
  })

  test('show the first step before there is a line', () => {
    const words = { train: 'a', smoothed: 'b', heldOut: 'c', step: 'd', loss: 'e' }
    const options = { isLogarithmic: false, isSmoothed: true, colors: ['#111111', '#222222', '#333333'], words } as const
    const [first, many] = [steps(1), steps(2)].map((shown) => lossConfig(shown, [], options).data.datasets)
    expect(first).toMatchObject([{ pointRadius: 3 }, { pointRadius: 3 }, {}])
    expect(many).toMatchObject([{ pointRadius: 0 }, { pointRadius: 0 }, {}])
  })
})

describe('what forms send', () => {
  test('of feedback: only the filters that are filled in', () => {
    expect(toFeedbackBody({ ...emptyForm, name: ' mine ' })).toEqual({
      name: 'mine',
      held_out: 0.1,
      from_feedback: { method: 'sft' },
    })
    const filled = { rating: 'up', model: 'm', user: 'ana', tags: 'a, ,b', from: '2026-01-01', to: '2026-02-01' } as const
    expect(toFeedbackBody({ ...emptyForm, ...filled, name: 'x', method: 'dpo', heldOutPercent: 0, exclude: ['secret'] })).toEqual(
      {
        name: 'x',
        held_out: 0,
        exclude_flagged: ['secret'],
        from_feedback: { ...filled, method: 'dpo', tags: ['a', 'b'] },
      },
    )
  })

  test('of a file: its fields as text, and whether it is a preview', () => {
    const form = { ...emptyForm, name: 'x', format: 'alpaca', exclude: ['duplicate', 'secret'] }
    const fieldsOf = (isPreview: boolean) => [...toUpload(form, new File(['{}'], 'a.json'), { isPreview }).keys()]
    expect(fieldsOf(true)).toEqual(['name', 'held_out', 'format', 'exclude_flagged', 'preview', 'file'])
    expect(fieldsOf(false)).not.toContain('preview')
    expect(['Mis datos (1).v2.jsonl', '../..//x y.csv', '.jsonl'].map(nameOfFile)).toEqual(['Mis-datos-1-.v2', 'x-y', ''])
  })

  test('of a run: what is left empty is as usual, and what the method has no use for is left out', () => {
    expect(toRunBody(emptyRunForm)).toEqual({ method: 'sft' })
    const numbers = { epochs: 3, beta: 0.2, replay: 0.5, rank: null }
    const form = { ...emptyRunForm, name: ' a ', numbers, modules: ['attn_q'], packs: 'off', replayDataset: 'd' } as const
    expect(toRunBody(form)).toEqual({
      name: 'a',
      method: 'sft',
      epochs: 3,
      replay: 0.5,
      packs: false,
      modules: ['attn_q'],
      replay_dataset: 'd',
    })
    expect(toRunBody({ ...form, method: 'dpo' })).toMatchObject({ beta: 0.2 })
    expect(toRunBody({ ...form, method: 'dpo' })).not.toHaveProperty('replay')
    expect(toRunBody({ ...form, numbers: { replay: 0 } })).not.toHaveProperty('replay_dataset')
  })

  test('bounds are those of the schema', () => {
    expect(boundsOf('rank')).toEqual({ from: 1, to: 512, isInteger: true })
    expect(boundsOf('dropout')).toEqual({ from: 0, to: 1, isInteger: false })
    for (const name of fieldNames) expect(boundsOf(name).to, name).toBeGreaterThan(boundsOf(name).from)
  })

  test('of a gate: a threshold that is left empty is not asked for', () => {
    const thresholds = {
      held_out_loss_percent: 0,
      forgetting_percent: undefined,
      exact_match_points: null,
      preference_accuracy: 0.5,
      judge_win_rate: null,
    }
    const form = { candidate: 'a+b', baseline: '', dataset: 'd', judge: '', run: 'r', thresholds, counts: { max_rows: 5 } }
    expect(toGateBody(form)).toEqual({
      kind: 'gate',
      candidate: 'a+b',
      dataset: 'd',
      run: 'r',
      thresholds: { ...thresholds, forgetting_percent: null },
      max_rows: 5,
    })
    expect(toGateBody({ ...form, dataset: '' })).not.toHaveProperty('run')
  })

  test('of a rule: only what it does', () => {
    const rule = { isOn: true, minRatings: 20, promoteWhen: '', rollsBack: false, maxDays: null, evaluation: '' } as const
    expect(toRule(rule)).toEqual({ min_ratings: 20 })
    expect(toRule({ ...rule, isOn: false })).toBeUndefined()
    expect(toRule({ ...rule, promoteWhen: 'better', rollsBack: true, maxDays: 3, evaluation: 'e' })).toEqual({
      min_ratings: 20,
      promote_when: 'better',
      rollback_when: 'worse',
      max_days: 3,
      require_evaluation: 'e',
    })
  })
})

test('shares always add up to 100, whatever is set', () => {
  const share = fc.double({ min: -10, max: 120, noNaN: true })
  const models = ['a', 'b', 'c']
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('b', 'c'), share), { maxLength: 6 }), (sets) => {
      let arms: ReturnType<typeof withShare> = [
        { model: 'a', share: 100 },
        { model: 'b', share: 0 },
        { model: 'c', share: 0 },
      ]
      for (const [model, value] of sets) arms = withShare(arms, model, value)
      expect(arms.map(({ model }) => model)).toEqual(models)
      expect(Math.round(arms.reduce((sum, arm) => sum + arm.share, 0) * 100)).toBe(10_000)
      for (const arm of arms) {
        expect(arm.share).toBeGreaterThanOrEqual(0)
        expect(Math.round(arm.share * 100) / 100).toBe(arm.share)
      }
    }),
  )
})

test('rows are shown by who says what, whatever their kind', () => {
  const user = { role: 'user', content: 'q' }
  const learned = rowTurns({
    messages: [user, { role: 'assistant', content: 'a', weight: 0 }, { role: 'assistant', content: 'b' }],
  })
  expect(learned.map(({ who, text, isLearned }) => [who, text, isLearned])).toEqual([
    ['userTurn', 'q', false],
    ['assistant', 'a', false],
    ['assistant', 'b', true],
  ])
  const answer = (content: string) => [{ role: 'assistant', content }]
  expect(rowTurns({ prompt: [user], chosen: answer('x'), rejected: answer('y') }).map(({ who }) => who)).toEqual([
    'userTurn',
    'chosen',
    'rejected',
  ])
  expect(rowTurns({ text: 't' })).toMatchObject([{ who: 'textRow', text: 't' }])
  expect(rowTurns({ messages: 'broken' })).toEqual([])
})

test('examples are found where the candidate is worse, better, or only other', () => {
  const answer = (text: string, exact: boolean | null = null) => {
    return { text, exact, contains: exact, tokens: 1, tokens_per_second: null, error: null }
  }
  const example = (more: Partial<ExampleBody>): ExampleBody => ({
    set: 'general',
    question: 'q',
    reference: null,
    baseline: answer('a'),
    candidate: answer('a'),
    nearer: null,
    judged: null,
    past: null,
    ...more,
  })
  const same = example({})
  const worse = example({ baseline: answer('a', true), candidate: answer('b', false) })
  const better = example({ candidate: answer('c'), judged: 'win' })
  const failed = example({ candidate: { ...answer(''), text: null, error: 'no' } })
  expect([same, worse, better, failed].map(standingOf)).toEqual(['same', 'worse', 'better', 'worse'])
  const all = [same, worse, better, failed]
  expect(filterExamples(all, 'all')).toBe(all)
  expect(filterExamples(all, 'changed')).toEqual([worse, better, failed])
  expect(filterExamples(all, 'worse')).toEqual([worse, failed])
  expect(filterExamples(all, 'better')).toEqual([better])
})
