import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createProviders } from '../../src/engine/providers.ts'
import { AppError } from '../../src/errors.ts'
import { createRollouts, type RolloutStore } from '../../src/rollout/rollouts.ts'
import { decide, type Evidence, type Rule } from '../../src/rollout/rule.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { rememberAnswer } from '../rollout-world.ts'

const dayMs = 24 * 3600_000
const root = { actor: 'somebody' }
const half = [
  { model: 'old', share: 50 },
  { model: 'new', share: 50 },
]

/** The rollouts of a database, with a clock to turn; `open` gives those of another process. */
async function openWorld() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-rules-'))
  const path = join(folder, 'simpleia.db')
  const storage = await openStorage({ url: await databaseAt(path) })
  const clock = { ms: Date.UTC(2026, 0, 1) }
  const world = { passed: true, selects: [] as string[], failures: [] as unknown[], refusal: undefined as AppError | undefined }
  const open = async (): Promise<RolloutStore> => {
    const providers = createProviders(createFakeEngine({ answer: () => ({ pieces: [] }), models: ['old', 'new'] }), {
      providers: [],
      routes: new Map(),
    })
    const rollouts = createRollouts({
      db: (await openStorage({ url: await databaseAt(path) })).db,
      providers,
      localProvider: 'hf',
      localOnly: false,
      async select({ model }) {
        if (world.refusal !== undefined) throw world.refusal
        world.selects.push(model)
      },
      refuseEvaluation: async () => {},
      hasPassed: async () => world.passed,
      createId: randomUUID,
      now: () => clock.ms,
      onFailure: (error) => world.failures.push(error),
    })
    onTestFinished(() => rollouts.close())
    return rollouts
  }
  onTestFinished(async () => {
    await storage.close()
    await rm(folder, { recursive: true })
  })
  const rate = async (rolloutId: string, model: string, rating: 'up' | 'down', count: number) => {
    for (let at = 0; at < count; at += 1) {
      const predictionId = await rememberAnswer(storage.db, { rolloutId, model, ownerId: null })
      const none = { userId: null, rejectedPredictionId: null, text: null, correction: null, tags: '[]' }
      const createdAt = new Date(clock.ms + at).toISOString()
      await storage.db
        .insertInto('feedback')
        .values({ ...none, id: randomUUID(), predictionId, rating, createdAt })
        .execute()
    }
  }
  return { ...world, world, clock, open, rate, rollouts: await open() }
}

const start = (rollouts: RolloutStore, rule: Rule | undefined) => rollouts.start({ alias: 'default', arms: half, rule }, root)

describe('a rule', () => {
  test('rolls back when its days are over without a decision', async () => {
    const { rollouts, clock } = await openWorld()
    const { id } = await start(rollouts, { minRatings: 5, promoteWhen: 'better', maxDays: 7 })
    clock.ms += 7 * dayMs - 1
    await rollouts.apply()
    expect(await rollouts.get(id)).toMatchObject({ state: 'running' })
    clock.ms += 1
    await rollouts.apply()
    expect(await rollouts.get(id)).toMatchObject({ state: 'rolled-back' })
    const { items } = await rollouts.events({ limit: 10, cursor: undefined })
    expect(items).toMatchObject([{ actor: 'rule', action: 'roll-back', details: { reason: 'time' } }, { action: 'start' }])
  })

  test('waits for the evaluation that it requires', async () => {
    const { rollouts, rate, world } = await openWorld()
    const { id } = await start(rollouts, { minRatings: 5, promoteWhen: 'not-worse', requireEvaluation: 'e' })
    await rate(id, 'old', 'up', 5)
    await rate(id, 'new', 'up', 5)
    world.passed = false
    await rollouts.apply()
    expect(await rollouts.get(id)).toMatchObject({ state: 'running' })
    world.passed = true
    await rollouts.apply()
    expect(await rollouts.get(id)).toMatchObject({ state: 'promoted' })
    expect(world.selects).toEqual(['new'])
  })

  test('that cannot be followed is told and tried again, and changes nothing meanwhile', async () => {
    const { rollouts, rate, world } = await openWorld()
    const { id } = await start(rollouts, { minRatings: 1, promoteWhen: 'not-worse' })
    await rate(id, 'old', 'down', 1)
    await rate(id, 'new', 'up', 1)
    world.refusal = new AppError('invalid', 'The file is cut off.')
    await rollouts.apply()
    expect(world.failures).toEqual([world.refusal])
    expect(await rollouts.get(id)).toMatchObject({ state: 'running', version: 1 })
    world.refusal = undefined
    await rollouts.apply()
    expect(await rollouts.get(id)).toMatchObject({ state: 'promoted' })
  })

  test('acts once, though two processes follow it', async () => {
    const { rollouts, rate, open, world } = await openWorld()
    const { id } = await start(rollouts, { minRatings: 1, promoteWhen: 'not-worse' })
    await rate(id, 'old', 'down', 1)
    await rate(id, 'new', 'up', 1)
    const other = await open()
    // It has seen it running, and does not look again for some seconds.
    await other.findShared()
    await rollouts.apply()
    await other.apply()
    expect(world.failures).toEqual([])
    expect(world.selects).toEqual(['new'])
    const { items } = await rollouts.events({ limit: 10, cursor: undefined })
    expect(items.map(({ action }) => action)).toEqual(['promote', 'start'])
  })

  const evidence = (more: Partial<Evidence>): Evidence => ({
    baseline: { rated: 50, wins: 25 },
    candidate: { rated: 50, wins: 25 },
    verdict: 'undecided',
    days: 1,
    isEvaluated: true,
    ...more,
  })
  test.each<readonly [what: string, rule: Omit<Rule, 'minRatings'>, seen: Partial<Evidence>, action: string | undefined]>([
    ['better, and found better', { promoteWhen: 'better' }, { verdict: 'candidate-better' }, 'promote'],
    ['better, and undecided', { promoteWhen: 'better' }, {}, undefined],
    [
      'better, and found better by too few',
      { promoteWhen: 'better' },
      { verdict: 'candidate-better', baseline: { rated: 9, wins: 0 } },
      undefined,
    ],
    ['not worse, and as good', { promoteWhen: 'not-worse' }, {}, 'promote'],
    ['not worse, and undecided with fewer wins', { promoteWhen: 'not-worse' }, { candidate: { rated: 50, wins: 24 } }, undefined],
    ['not worse, and found worse', { promoteWhen: 'not-worse' }, { verdict: 'baseline-better' }, undefined],
    ['worse, and found worse', { rollbackWhen: 'worse' }, { verdict: 'baseline-better' }, 'roll-back'],
    ['worse, and found better', { rollbackWhen: 'worse' }, { verdict: 'candidate-better' }, undefined],
    ['better but not evaluated', { promoteWhen: 'better' }, { verdict: 'candidate-better', isEvaluated: false }, undefined],
    ['days that are over', { promoteWhen: 'better', maxDays: 1 }, {}, 'roll-back'],
    ['days that are over, and found better', { promoteWhen: 'better', maxDays: 1 }, { verdict: 'candidate-better' }, 'promote'],
  ])('for %s', (_what, rule, seen, action) => {
    expect(decide({ minRatings: 10, ...rule }, evidence(seen))?.action).toBe(action)
  })
})

describe('another process', () => {
  const asked = { model: undefined, provider: undefined, prompt: { type: 'text', text: 'Hi' } } as const

  test('sees a change within some seconds', async () => {
    const { rollouts, open, clock } = await openWorld()
    const other = await open()
    expect(await other.choose(asked, undefined)).toBeUndefined()
    const { id } = await rollouts.start(
      {
        alias: 'default',
        arms: [
          { model: 'old', share: 0 },
          { model: 'new', share: 100 },
        ],
        rule: undefined,
      },
      root,
    )
    expect(await rollouts.choose(asked, undefined)).toMatchObject({ model: 'new', rolloutId: id, otherwise: { model: 'old' } })
    clock.ms += 2000
    expect(await other.choose(asked, undefined)).toMatchObject({ model: 'new', rolloutId: id })
    await other.end(id, root)
    clock.ms += 2000
    expect(await rollouts.choose(asked, undefined)).toBeUndefined()
  })

  test('cannot change what has changed meanwhile', async () => {
    const { rollouts, open } = await openWorld()
    const { id } = await start(rollouts, undefined)
    const other = await open()
    await rollouts.change(id, { version: 1, arms: half }, root)
    await expect(other.change(id, { version: 1, arms: half }, root)).rejects.toMatchObject({ code: 'conflict' })
    expect(await rollouts.get(id)).toMatchObject({ version: 2 })
  })
})
