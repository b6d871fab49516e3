import { expect, onTestFinished, test } from 'vitest'
import { modelsHost, startRolloutWorld } from '../rollout-world.ts'
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
