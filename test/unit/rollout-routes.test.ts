import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { RolloutAnswer } from '../../src/rollout/schema.ts'
import { half, modelsHost, ninetyTen, type RolloutWorld, rememberAnswer, startRolloutWorld } from '../rollout-world.ts'
import { bodyOf } from '../server.ts'
import { startServiceWorld } from '../service-world.ts'

const allToNew = [
  { model: 'old', share: 0 },
  { model: 'new', share: 100 },
]

const modelOf = async (world: RolloutWorld) => (await world.call('GET', '/model')).model_name

describe('what is wrong is refused when it starts', () => {
  test.each<readonly [what: string, body: object, status: number, field: string | undefined]>([
    ['one arm', { arms: [{ model: 'old', share: 100 }] }, 400, 'arms'],
    [
      'shares that do not add up',
      {
        arms: [
          { model: 'old', share: 90 },
          { model: 'new', share: 9 },
        ],
      },
      400,
      'arms',
    ],
    [
      'a share below nothing',
      {
        arms: [
          { model: 'old', share: 110 },
          { model: 'new', share: -10 },
        ],
      },
      400,
      'arms.0.share',
    ],
    [
      'a model twice',
      {
        arms: [
          { model: 'old', share: 50 },
          { model: 'old', share: 50 },
        ],
      },
      400,
      'arms.1.model',
    ],
    [
      'a first arm that is not in use',
      {
        arms: [
          { model: 'new', share: 50 },
          { model: 'old', share: 50 },
        ],
      },
      400,
      'arms.0.model',
    ],
    [
      'a model that there is not',
      {
        arms: [
          { model: 'old', share: 50 },
          { model: 'none', share: 50 },
        ],
      },
      404,
      undefined,
    ],
    ['a field that there is not', { arms: half, shares: [] }, 400, 'shares'],
    ['an alias that is an installed model', { alias: 'third', arms: half }, 409, undefined],
    ['an alias that is a provider', { alias: 'hf', arms: half }, 409, undefined],
    ['an alias that is no name', { alias: 'a/b', arms: half }, 400, 'alias'],
    ['a rule that never acts', { arms: half, rule: { min_ratings: 5 } }, 400, 'rule'],
    [
      'a rule for three arms',
      {
        arms: [
          { model: 'old', share: 80 },
          { model: 'new', share: 10 },
          { model: 'third', share: 10 },
        ],
        rule: { min_ratings: 5, rollback_when: 'worse' },
      },
      400,
      'rule',
    ],
    [
      'an evaluation that there is not',
      { arms: half, rule: { min_ratings: 5, promote_when: 'better', require_evaluation: 'none' } },
      400,
      'rule.require_evaluation',
    ],
  ])('%s', async (_what, body, status, field) => {
    const world = await startRolloutWorld()
    const details = field === undefined ? {} : { details: [{ field }] }
    expect(await world.call('POST', '/rollout', body)).toMatchObject({
      status,
      error: { message: expect.any(String), ...details },
    })
    expect(await world.call('GET', '/rollout')).toMatchObject({ items: [] })
    expect(await world.actions()).toEqual([])
  })

  test('a second one of the same alias', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start()
    expect(await world.call('POST', '/rollout', { arms: half })).toMatchObject({
      status: 409,
      error: { message: expect.stringContaining(id) },
    })
  })

  test('an alias that is a route, and what is elsewhere without its provider or against LOCAL_ONLY', async () => {
    const world = await startServiceWorld({
      file: (usual) => ({ ...usual, routes: { default: ['hf', 'gpu'], careful: ['hf'] } }),
    })
    const start = async (alias: string, second: string, first = 'scripted') => {
      const arms = [
        { model: first, share: 50 },
        { model: second, share: 50 },
      ]
      const response = await world.admin('/rollout', { alias, arms })
      return { status: response.status, ...(await bodyOf<object>(response)) }
    }
    const remove = { status: 409, error: { message: expect.stringContaining('Take the route out of providers.json') } }
    expect(await start('default', 'gpu/qwen-test')).toMatchObject(remove)
    expect(await start('careful', 'gpu/qwen-test')).toMatchObject({ status: 409 })
    expect(await start('fast', 'careful')).toMatchObject({ status: 400, error: { details: [{ field: 'arms.1.model' }] } })
    expect(await start('fast', 'gpu')).toMatchObject({ status: 400, error: { details: [{ field: 'arms.1.model' }] } })
    expect(await start('fast', 'gpu/qwen-test')).toMatchObject({
      status: 201,
      arms: [
        { model: 'scripted', ran_on: 'local' },
        { model: 'gpu/qwen-test', provider: 'gpu', ran_on: 'cloud' },
      ],
    })
    const closed = await startServiceWorld({ settings: { LOCAL_ONLY: 'true' } })
    const arms = [
      { model: 'scripted', share: 50 },
      { model: 'gpu/qwen-test', share: 50 },
    ]
    expect((await closed.admin('/rollout', { arms })).status).toBe(403)
  })
})

describe('a promotion', () => {
  test('of default selects the model as POST /model does, and one call goes back', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start({ arms: ninetyTen })
    expect(await world.call('POST', `/rollout/${id}/promote`)).toMatchObject({
      status: 200,
      state: 'promoted',
      arms: [
        { model: 'old', share: 0 },
        { model: 'new', share: 100 },
      ],
      ended_at: expect.any(String),
    })
    expect(await modelOf(world)).toBe('new')
    expect(await world.whoAnswers('Hi')).toBe('new')
    const selection = () => readFile(join(world.dataDir, 'config.json'), 'utf8').then(JSON.parse)
    expect(await selection()).toEqual({ selected_model: 'new', provider: 'hf' })
    expect(await world.call('POST', '/rollout/rollback')).toMatchObject({ status: 200, id, state: 'rolled-back' })
    expect(await modelOf(world)).toBe('old')
    expect(await selection()).toEqual({ selected_model: 'old', provider: 'hf' })
    expect(await world.call('POST', '/rollout/rollback')).toMatchObject({ status: 409 })
    expect(await world.actions(id)).toEqual(['roll-back by root', 'promote by root', 'start by root'])
  })

  test('goes back step by step where there were several', async () => {
    const world = await startRolloutWorld()
    const first = await world.start()
    await world.call('POST', `/rollout/${first.id}/promote`, { model: 'new' })
    const second = await world.start({
      arms: [
        { model: 'new', share: 50 },
        { model: 'third', share: 50 },
      ],
    })
    await world.call('POST', `/rollout/${second.id}/promote`, {})
    expect(await modelOf(world)).toBe('third')
    expect(await world.call('POST', `/rollout/${first.id}/rollback`)).toMatchObject({ status: 409 })
    expect(await world.call('POST', '/rollout/rollback', {})).toMatchObject({ id: second.id })
    expect(await modelOf(world)).toBe('new')
    expect(await world.call('POST', '/rollout/rollback', {})).toMatchObject({ id: first.id })
    expect(await modelOf(world)).toBe('old')
  })

  test('is not undone once another model was selected by hand', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start()
    await world.call('POST', `/rollout/${id}/promote`)
    await world.call('POST', '/model', { model_name: 'third' })
    expect(await world.call('POST', '/rollout/rollback')).toMatchObject({
      status: 409,
      error: { message: expect.stringContaining('"third"') },
    })
    expect(await modelOf(world)).toBe('third')
  })

  test('that cannot be loaded changes nothing', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start({
      arms: [
        { model: 'old', share: 90 },
        { model: 'broken', share: 10 },
      ],
    })
    expect(await world.call('POST', `/rollout/${id}/promote`)).toMatchObject({ status: 400 })
    expect(await world.detail(id)).toMatchObject({ state: 'running', version: 1 })
    expect(await modelOf(world)).toBe('old')
    expect(await world.actions(id)).toEqual(['start by root'])
  })

  test('names one of several candidates, and no other', async () => {
    const world = await startRolloutWorld()
    const arms = [
      { model: 'old', share: 80 },
      { model: 'new', share: 10 },
      { model: 'third', share: 10 },
    ]
    const { id } = await world.start({ arms })
    for (const body of [undefined, { model: 'old' }, { model: 'broken' }])
      expect(await world.call('POST', `/rollout/${id}/promote`, body)).toMatchObject({
        status: 400,
        error: { details: [{ field: 'model' }] },
      })
    expect(await world.call('POST', `/rollout/${id}/promote`, { model: 'third' })).toMatchObject({ state: 'promoted' })
    expect(await modelOf(world)).toBe('third')
  })
})

describe('the end of a rollout', () => {
  test('by a rollback leaves the model before with all requests', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start({ arms: allToNew })
    expect(await world.whoAnswers('Hi')).toBe('new')
    expect(await world.call('POST', `/rollout/${id}/rollback`)).toMatchObject({
      state: 'rolled-back',
      arms: [{ share: 100 }, { share: 0 }],
    })
    expect(await world.whoAnswers('Hi')).toBe('old')
    for (const verb of ['promote', 'rollback', 'end'])
      expect(await world.call('POST', `/rollout/${id}/${verb}`)).toMatchObject({ status: 409 })
    expect(await world.call('PATCH', `/rollout/${id}`, { arms: half })).toMatchObject({ status: 409 })
  })

  test('comes when another model is selected by hand, and is told in the audit', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start({ arms: allToNew })
    await world.call('POST', '/model', { model_name: 'old' })
    expect(await world.detail(id)).toMatchObject({ state: 'running' })
    await world.call('POST', '/model', { model_name: 'third' })
    expect(await world.detail(id)).toMatchObject({ state: 'ended' })
    expect(await world.whoAnswers('Hi')).toBe('third')
    expect(await world.call('GET', `/rollout/${id}/events`)).toMatchObject({
      items: [{ action: 'end', actor: `user:${world.rootId}`, details: { reason: 'selected-by-hand', model: 'third' } }, {}],
    })
  })
})

describe('the audit', () => {
  test('holds each change with what was before, paged, newest first', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start({ arms: ninetyTen })
    await world.call('PATCH', `/rollout/${id}`, { arms: half, rule: { min_ratings: 5, rollback_when: 'worse' } })
    await world.call('PATCH', `/rollout/${id}`, { rule: null })
    await world.call('POST', `/rollout/${id}/end`)
    const other = await world.start({ alias: 'fast', arms: half })
    const all: { action: string; rollout_id: string; details: object }[] = []
    for (let cursor: string | null = '', pages = 0; cursor !== null && pages < 9; pages += 1) {
      const path: string = `/rollout/events?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`
      const page: { items: typeof all; next_cursor: string | null } = await bodyOf(await world.send('GET', path))
      all.push(...page.items)
      cursor = page.next_cursor
    }
    expect(all.map(({ action }) => action).toSorted()).toEqual(['change', 'change', 'end', 'start', 'start'])
    expect(all.filter(({ rollout_id }) => rollout_id === other.id)).toHaveLength(1)
    expect(all.find(({ details }) => 'before' in details)?.details).toMatchObject({
      before: [
        { model: 'old', share: 90, ran_on: 'local' },
        { model: 'new', share: 10 },
      ],
      arms: [{ share: 50 }, { share: 50 }],
      rule: { min_ratings: 5, rollback_when: 'worse' },
    })
    expect(await world.actions(id)).toHaveLength(4)
    expect(await world.call('GET', '/rollout/events?cursor=nonsense')).toMatchObject({ status: 400 })
    expect(await world.call('GET', '/rollout/none/events')).toMatchObject({ status: 404 })
  })

  test('lists rollouts that run before those that are over', async () => {
    const world = await startRolloutWorld()
    const running = await world.start({ alias: 'fast', arms: half })
    for (const _ of [1, 2, 3]) await world.call('POST', `/rollout/${(await world.start()).id}/end`)
    const first = await bodyOf<{ items: RolloutAnswer[]; next_cursor: string }>(await world.send('GET', '/rollout?limit=2'))
    expect(first.items.map(({ state }) => state)).toEqual(['running', 'ended', 'ended'])
    expect(first.items[0]?.id).toBe(running.id)
    const rest = await bodyOf<{ items: RolloutAnswer[] }>(await world.send('GET', `/rollout?limit=2&cursor=${first.next_cursor}`))
    expect(rest.items.map(({ state }) => state)).toEqual(['ended'])
  })
})

describe('two admins at once', () => {
  test('lose no change: who changes what another has changed since is told', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start({ arms: ninetyTen })
    const to = (share: number) => ({
      version: 1,
      arms: [
        { model: 'old', share: 100 - share },
        { model: 'new', share },
      ],
    })
    const [one, other] = await Promise.all([20, 30].map((share) => world.call('PATCH', `/rollout/${id}`, to(share))))
    expect([one?.status, other?.status].toSorted()).toEqual([200, 409])
    expect(await world.detail(id)).toMatchObject({ version: 2, arms: (one?.status === 200 ? one : other)?.arms })
    expect(await world.actions(id)).toHaveLength(2)
  })

  test('start one, and end it once', async () => {
    const world = await startRolloutWorld()
    const started = await Promise.all([1, 2, 3].map(() => world.call('POST', '/rollout', { arms: half })))
    expect(started.map(({ status }) => status).toSorted()).toEqual([201, 409, 409])
    const { id } = started.find(({ status }) => status === 201) ?? {}
    const ends = ['promote', 'rollback', 'promote', 'end'].map((verb) => world.call('POST', `/rollout/${id}/${verb}`))
    const statuses = (await Promise.all(ends)).map(({ status }) => status)
    // A rollback undoes a promotion, so that both may come to pass.
    const actions = await world.actions()
    expect(actions).toHaveLength(1 + statuses.filter((status) => status === 200).length)
    expect(actions.filter((action) => action.startsWith('promote')).length).toBeLessThanOrEqual(1)
  })
})

test('after a restart all is as it was', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-rollout-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const settings = { DATA_DIR: folder, CONFIG_FILE: join(folder, 'config.json') }
  const questions = Array.from({ length: 16 }, (_, at) => `question ${at}`)
  const before = await startRolloutWorld({ settings })
  const { id } = await before.start({ arms: ninetyTen, rule: { min_ratings: 5, rollback_when: 'worse' } })
  await before.call('PATCH', `/rollout/${id}`, { arms: half })
  const drawn = await Promise.all(questions.map((question) => before.whoAnswers(question)))
  const shown = await before.detail(id)
  await before.app.close({ graceMs: 0 })
  const after = await startRolloutWorld({ settings, host: modelsHost() })
  expect(await after.detail(id)).toEqual(shown)
  expect(await Promise.all(questions.map((question) => after.whoAnswers(question)))).toEqual(drawn)
})

describe('feedback', () => {
  const rate = async (world: RolloutWorld, rolloutId: string, model: string, body: object, token = world.token) => {
    const me = await bodyOf<{ id: string }>(await world.send('GET', '/auth/me', undefined, token))
    const prediction = await rememberAnswer(world.db, { rolloutId, model, ownerId: me.id })
    const response = await world.send('POST', '/feedback', { prediction_id: prediction, ...body }, token)
    expect(response.status).toBe(201)
    return prediction
  }

  test('is counted as wins and losses of the arms, the latest of one user for one answer', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start()
    await rate(world, id, 'old', { rating: 'up' })
    await rate(world, id, 'old', { rating: 'down' })
    await rate(world, id, 'new', { rating: 'up', correction: 'Better so.' })
    const changed = await rate(world, id, 'new', { rating: 'down' })
    await world.send('POST', '/feedback', { prediction_id: changed, rating: 'up' })
    const ofOthers = await rememberAnswer(world.db, { rolloutId: 'another', model: 'new', ownerId: world.rootId })
    await world.send('POST', '/feedback', { prediction_id: ofOthers, rating: 'up' })
    await world.send('POST', '/feedback', { text: 'Nice.' })
    const { statistics } = await world.detail(id)
    expect(statistics.arms).toMatchObject([
      { model: 'old', rated: 2, wins: 1, rate: 0.5, answers: 2, tokens_per_second: 10, first_token_ms: 100, latency_ms: 1000 },
      { model: 'new', rated: 2, wins: 1, rate: 0.5, answers: 2 },
    ])
    expect(statistics.comparisons).toMatchObject([
      { candidate: 'new', baseline: 'old', difference: 0, verdict: 'undecided', p_value: 1, enough_data: false },
    ])
  })

  test('that keeps an answer of one arm over one of the other is a direct comparison, and no win', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start()
    const [kept, rejected] = await Promise.all(
      ['new', 'old'].map((model) => rememberAnswer(world.db, { rolloutId: id, model, ownerId: world.rootId })),
    )
    await world.db
      .insertInto('feedback')
      .values({
        id: 'f',
        userId: world.rootId,
        predictionId: kept ?? '',
        rejectedPredictionId: rejected ?? '',
        rating: 'up',
        text: null,
        correction: null,
        tags: '[]',
        createdAt: new Date().toISOString(),
      })
      .execute()
    const { statistics } = await world.detail(id)
    expect(statistics.arms).toMatchObject([
      { kept: 0, rejected: 1, rated: 0 },
      { kept: 1, rejected: 0, rated: 0 },
    ])
  })

  test('makes the rule promote what is better', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start({ arms: half, rule: { min_ratings: 10, promote_when: 'better', rollback_when: 'worse' } })
    for (let at = 0; at < 30; at += 1) {
      await rate(world, id, 'old', { rating: 'down' })
      await rate(world, id, 'new', { rating: 'up' })
    }
    await vi.waitFor(async () => expect(await world.detail(id)).toMatchObject({ state: 'promoted' }), { timeout: 10_000 })
    expect(await modelOf(world)).toBe('new')
    expect(await world.actions(id)).toEqual(['promote by rule', 'start by root'])
    expect(await world.call('GET', `/rollout/${id}/events?limit=1`)).toMatchObject({
      items: [
        { details: { reason: 'better', model: 'new', before: 'old', evidence: [{ model: 'old', wins: 0 }, { model: 'new' }] } },
      ],
    })
    expect(await world.call('POST', '/rollout/rollback')).toMatchObject({ state: 'rolled-back' })
    expect(await modelOf(world)).toBe('old')
  })

  test('makes the rule roll back what is worse', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start({ arms: half, rule: { min_ratings: 10, promote_when: 'not_worse', rollback_when: 'worse' } })
    for (let at = 0; at < 30; at += 1) {
      await rate(world, id, 'old', { rating: 'up' })
      await rate(world, id, 'new', { rating: 'down' })
    }
    await vi.waitFor(async () => expect(await world.detail(id)).toMatchObject({ state: 'rolled-back' }), { timeout: 10_000 })
    expect(await modelOf(world)).toBe('old')
    expect(await world.actions(id)).toEqual(['roll-back by rule', 'start by root'])
  })
})

test('only admins see and change rollouts', async () => {
  const world = await startRolloutWorld()
  const { id } = await world.start()
  const ana = await world.login('ana')
  for (const [method, path] of [
    ['GET', '/rollout'],
    ['GET', `/rollout/${id}`],
    ['POST', '/rollout/rollback'],
  ] as const) {
    expect((await world.send(method, path, undefined, ana)).status).toBe(403)
  }
  expect(await world.detail(id)).toMatchObject({ state: 'running' })
})
