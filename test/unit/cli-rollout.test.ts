import { expect, onTestFinished, test } from 'vitest'
import type { RolloutDetail, RolloutEventItem } from '../../src/client/rollout.ts'
import { modelsHost, startRolloutWorld } from '../rollout-world.ts'
import { type Asked, createScriptedCli } from './cli-scripted.ts'
import { createCli } from './cli-world.ts'

async function openWorld(variables: Record<string, string> = {}) {
  const world = await startRolloutWorld({ host: modelsHost() })
  const cli = await createCli({ PORT: String(world.port), ...variables })
  onTestFinished(async () => void (await cli.run('logout')))
  await cli.run('login root', 'root-has-a-long-password\n')
  return { ...cli, world }
}

test('a rollout is started, watched, changed, promoted and taken back', async () => {
  const { run } = await openWorld()
  expect(await run('rollout')).toMatchObject({ code: 0, notes: 'There are no rollouts.\n' })
  expect(await run('rollout start old=90 new=10 --min-ratings 20 --promote-when better --rollback-when worse')).toMatchObject({
    code: 0,
    notes: expect.stringMatching(/^The requests for "default" are shared now: 90 % old, 10 % new\. Id: \S+\n$/),
  })
  const shown = await run('rollout')
  expect(shown.output).toContain('default: running since')
  expect(shown.output).toContain('  90 % old: 0 answers, 0 rated, 0 wins (-, 95 %: 0.0 % to 100.0 %), - tokens/s, - ms\n')
  expect(shown.output).toContain('new − old: - (95 %: -100.0 % to 100.0 %), p = 1.0: undecided, too few ratings yet\n')
  expect(shown.output).toContain('"min_ratings":20')
  expect((await run('rollout set old=50 new=50')).notes).toBe('The requests for "default" are shared now: 50 % old, 50 % new.\n')
  expect((await run('rollout promote')).notes).toBe('"default" means new now.\n')
  expect((await run('rollout rollback')).notes).toBe('Back: "default" means old again.\n')
  const events = await run('rollout events')
  expect(events.output.split('\n').map((line) => line.split('\t')[3])).toEqual([
    'roll-back',
    'promote',
    'change',
    'start',
    undefined,
  ])
  expect(JSON.parse((await run('rollout show --json')).output)).toMatchObject([{ state: 'rolled-back' }])
})

test('a rollout is ended, as is what another name was settled on', async () => {
  const { run, world } = await openWorld()
  await run('rollout start old=90 new=10')
  expect(await run('rollout end')).toMatchObject({ code: 0, notes: expect.stringContaining('Ended: "default"') })
  expect(await run('rollout end')).toMatchObject({ code: 1, notes: expect.stringContaining('No rollout of "default" runs') })
  await run('rollout start old=90 new=10 --alias fast')
  await run('rollout promote --alias fast')
  expect(await world.whoAnswers('Hi', { model: 'fast' })).toBe('new')
  expect(await run('rollout end --alias fast')).toMatchObject({ code: 0 })
  expect(await world.call('POST', '/predict', { prompt: 'Hi', model: 'fast' })).toMatchObject({ status: 404 })
})

test('mistakes are told, in Spanish too', async () => {
  const { run } = await openWorld({ LANG: 'es_ES.UTF-8' })
  expect((await run('rollout start old new=10')).notes).toContain('Cada modelo debe ser MODELO=PORCENTAJE')
  expect((await run('rollout start old=90 new=10 --max-days 3')).notes).toContain('necesita --min-ratings')
  expect((await run('rollout start old=90 new=10 --min-ratings 3 --promote-when good')).notes).toContain('better, not_worse')
  expect(await run('rollout promote')).toMatchObject({
    code: 1,
    notes: expect.stringMatching(/^No hay ningún reparto de "default" en marcha\.\n$/),
  })
  expect((await run('rollout start old=90 new=10 --alias fast')).notes).toContain('se reparten ahora')
  expect((await run('rollout show')).output).toContain('fast: en marcha desde')
})

const old = { model: 'old', provider: 'hf', ran_on: 'local', share: 90 } as const
const gone = { model: 'claude/opus\u001b[2J', provider: 'claude', ran_on: 'cloud', share: 10 } as const
const rollout: RolloutDetail = {
  id: 'r1',
  alias: 'default',
  state: 'running',
  version: 3,
  arms: [old, gone],
  rule: null,
  blocked_by: null,
  created_by: 'u1',
  created_at: '2026-01-01T00:00:00.000Z',
  ended_at: null,
  statistics: {
    arms: [
      {
        ...{ model: 'old', answers: 9, rated: 8, wins: 4, rate: 0.5, rate_low: 0.2, rate_high: 0.8, kept: 0, rejected: 0 },
        ...{ tokens_per_second: 12.34, first_token_ms: 5, latency_ms: 99.6, problem: null, passed_by: null },
      },
      {
        ...{ model: gone.model, answers: 1, rated: 0, wins: 0, rate: null, rate_low: 0, rate_high: 1, kept: 0, rejected: 0 },
        ...{ tokens_per_second: null, first_token_ms: null, latency_ms: null, problem: 'No key.' },
        passed_by: { requests: 7, code: 'upstream', at: '2026-01-01T00:00:00.000Z' },
      },
    ],
    comparisons: [],
  },
}
const comparison = { candidate: 'new', baseline: 'old', difference: 0.25, difference_low: 0.1, difference_high: 0.4 }

test('a rollout is shown with what keeps a model from answering, and how sure the comparison is', async () => {
  const verdicts = [
    { verdict: 'candidate-better', enough_data: true },
    { verdict: 'baseline-better', enough_data: false },
    { verdict: 'undecided', enough_data: true },
    { verdict: 'undecided', enough_data: false },
  ] as const
  const comparisons = verdicts.map((verdict) => ({ ...comparison, p_value: 0.012, ...verdict }))
  const { run } = await createScriptedCli({
    'GET /rollout/r1': { ...rollout, blocked_by: 'route', statistics: { ...rollout.statistics, comparisons } },
    'GET /rollout/r2': { ...rollout, blocked_by: 'model', rule: { min_ratings: 5 } },
  })
  const lines = (await run('rollout show r1')).output.split('\n')
  expect(lines).toEqual([
    'default: running since 2026-01-01T00:00:00.000Z, id r1',
    '  A route of providers.json has this name and answers instead.',
    '  90 % old: 9 answers, 8 rated, 4 wins (50.0 %, 95 %: 20.0 % to 80.0 %), 12.3 tokens/s, 100 ms',
    '  10 % claude/opus[2J: 1 answers, 0 rated, 0 wins (-, 95 %: 0.0 % to 100.0 %), - tokens/s, - ms',
    '    It cannot answer now: No key.',
    '    7 requests went to the first model instead, the last time because of "upstream"',
    '  new − old: 25.0 % (95 %: 10.0 % to 40.0 %), p = 0.012: the candidate is better',
    '  new − old: 25.0 % (95 %: 10.0 % to 40.0 %), p = 0.012: the one before is better',
    '  new − old: 25.0 % (95 %: 10.0 % to 40.0 %), p = 0.012: undecided',
    '  new − old: 25.0 % (95 %: 10.0 % to 40.0 %), p = 0.012: undecided, too few ratings yet',
    '',
  ])
  const second = (await run('rollout show r2')).output
  expect(second).toContain('  An installed model has this name and answers who names it.\n')
  expect(second).toContain('  Rule: {"min_ratings":5}\n')
  expect(JSON.parse((await run('rollout show r1 --json')).output)).toMatchObject({ id: 'r1', blocked_by: 'route' })
})

test('who shares requests with a cloud is told that they leave, and each command gives its answer as JSON', async () => {
  const script = {
    'GET /rollout': { items: [rollout], next_cursor: null },
    'POST /rollout': rollout,
    'PATCH /rollout/r1': rollout,
    'POST /rollout/r1/promote': {
      ...rollout,
      state: 'promoted',
      arms: [
        { ...old, share: 0 },
        { ...gone, share: 100 },
      ],
    },
    'POST /rollout/r1/end': { ...rollout, state: 'ended' },
    'GET /rollout/r1/events': { items: [], next_cursor: null },
  }
  const { run, asked } = await createScriptedCli(script)
  expect((await run('rollout start old=90 new=10%')).notes).toContain(
    'Note: the prompts for claude/opus[2J leave this machine.\n',
  )
  expect((await run('rollout promote new')).notes).toBe('"default" means claude/opus[2J now.\n')
  expect(asked.at(-1)?.body).toEqual({ model: 'new' })
  expect((await run('rollout events r1')).notes).toBe('Nothing has been done yet.\n')
  const flags = '--min-ratings 20 --promote-when not_worse --rollback-when worse --max-days 1.5 --require-evaluation e1'
  for (const [line, body] of [
    [`rollout start old=90 new=10 ${flags}`, rollout],
    ['rollout set old=50 new=50', rollout],
    ['rollout promote', script['POST /rollout/r1/promote']],
    ['rollout end', script['POST /rollout/r1/end']],
    ['rollout events r1', []],
  ] as const) {
    const { code, output, notes } = await run(`${line} --json`)
    expect({ code, output: JSON.parse(output), notes }, line).toEqual({ code: 0, output: body, notes: '' })
  }
  await run('rollout start old=90 new=10 --min-ratings 20')
  expect(asked.at(-1)?.body).toMatchObject({ rule: { min_ratings: 20 } })
  expect(asked.find(({ body }) => body !== undefined && Reflect.has(Object(body), 'rule'))?.body).toMatchObject({
    rule: { min_ratings: 20, promote_when: 'not_worse', rollback_when: 'worse', max_days: 1.5, require_evaluation: 'e1' },
  })
})

test('what the rule has done is told as its own, and a name that nothing runs for has nothing to end', async () => {
  const event: RolloutEventItem = {
    ...{ id: 'e1', rollout_id: 'r1', actor: 'rule', action: 'roll-back', created_at: '2026-01-02T00:00:00.000Z' },
    details: { why: 'worse\u0007' },
  }
  const ended = { ...rollout, id: 'r0', alias: 'fast', state: 'ended' as const }
  const { run, asked } = await createScriptedCli({
    'GET /rollout/events': { items: [event], next_cursor: null },
    'GET /rollout': ({ query }: Asked) =>
      query.has('cursor') ? { items: [ended], next_cursor: null } : { items: [rollout], next_cursor: 'more' },
  })
  expect((await run('rollout events')).output).toBe('2026-01-02T00:00:00.000Z\tr1\tthe rule\troll-back\t{"why":"worse\\u0007"}\n')
  expect(await run('rollout end --alias fast')).toMatchObject({ code: 1, notes: 'No rollout of "fast" runs.\n' })
  expect(asked.map(({ query }) => query.get('cursor'))).toEqual([null, null, 'more'])
  for (const flags of ['--min-ratings few', '--min-ratings 3 --max-days soon'])
    expect(await run(`rollout start a=1 b=99 ${flags}`)).toMatchObject({
      code: 1,
      notes: expect.stringContaining('must be a number'),
    })
})
