import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { type RunState, runStates, transitions } from '../../src/training/run-states.ts'
import { endOf, stepOf } from '../trainer.ts'
import { openTrainingWorld, until } from '../training-world.ts'

test('the table says of each event where it leads, and nothing leads out of a completed run', () => {
  const reachable = new Set<RunState>(['queued'])
  for (let before = 0; before < reachable.size; ) {
    before = reachable.size
    for (const { from, to } of Object.values(transitions)) if (from.some((state) => reachable.has(state))) reachable.add(to)
  }
  expect([...reachable].sort()).toEqual([...runStates].sort())
  const leaving = Object.values(transitions).filter(({ from }: { from: readonly RunState[] }) => from.includes('completed'))
  expect(leaving).toEqual([])
})

/** Whether one event, or several, lead from one state to the other. */
function leads(from: RunState, to: RunState): boolean {
  const seen = new Set<RunState>([from])
  for (const state of seen)
    for (const { from: sources, to: target } of Object.values(transitions))
      if (sources.some((source) => source === state)) seen.add(target)
  return seen.has(to)
}

const commands = ['create', 'pause', 'cancel', 'resume', 'remove', 'restart'] as const
const tellings = ['step', 'checkpoint', 'complete', 'stopped', 'nan', 'full', 'killed'] as const

test('any sequence of commands and of what processes tell leaves allowed states, and one process at most', {
  timeout: 60_000,
}, async () => {
  const operation = fc.oneof(
    fc.record({ does: fc.constantFrom(...commands), run: fc.nat({ max: 2 }), turns: fc.nat({ max: 60 }) }),
    fc.record({ does: fc.constantFrom(...tellings), run: fc.constant(0), turns: fc.nat({ max: 60 }) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 3, maxLength: 14 }), async (script) => {
      const world = await openTrainingWorld()
      await world.create()
      let states = new Map<string, RunState>()
      const working: Promise<unknown>[] = []
      for (const { does, run, turns } of script) {
        const id = `run-${run}`
        const trainer = world.trainers.findLast(({ isOver }) => !isOver())
        switch (does) {
          case 'create':
            working.push(world.create())
            break
          case 'restart':
            await closeWhileProcessesDie(world)
            await Promise.allSettled(working)
            await world.restart()
            break
          case 'pause':
          case 'cancel':
          case 'resume':
          case 'remove':
            working.push(world.runs()[does](id))
            // A process that is to stop does so.
            trainer?.send(...(does === 'pause' ? [endOf('stopped', 1)] : []))
            break
          case 'step':
            trainer?.send(stepOf(1))
            break
          case 'checkpoint':
            trainer?.send({ type: 'train-checkpoint', step: 1 })
            break
          case 'complete':
            trainer?.send(endOf('completed', 1, await world.adapterOf(trainer).catch(() => undefined)))
            break
          case 'stopped':
            trainer?.send(endOf('stopped', 1))
            break
          case 'nan':
            trainer?.fail(new AppError('unprocessable', 'NaN'))
            break
          case 'full':
            trainer?.fail(new AppError('storage_full', 'full'))
            break
          case 'killed':
            trainer?.fail(new AppError('unavailable', 'killed'))
            break
        }
        working.at(-1)?.catch(() => {})
        for (let turn = 0; turn < turns; turn += 1) await setImmediate()
        const rows = await world.db
          .selectFrom('trainingRuns')
          .select(['id', 'state', 'adapter', 'errorCode', 'queuedAt'])
          .execute()
        expect(rows.filter(({ state }) => state === 'running').length).toBeLessThanOrEqual(1)
        for (const row of rows) {
          expect(runStates).toContain(row.state)
          const before = states.get(row.id)
          if (before !== undefined) expect([before, row.state, leads(before, row.state)]).toEqual([before, row.state, true])
          expect([row.state, row.adapter !== null]).toEqual([row.state, row.state === 'completed'])
          expect([row.state, row.queuedAt !== null]).toEqual([row.state, row.state === 'queued'])
          if (row.state === 'failed') expect(row.errorCode).not.toBeNull()
        }
        states = new Map(rows.map((row) => [row.id, row.state]))
        expect(world.trainers.filter(({ isOver }) => !isOver()).length).toBeLessThanOrEqual(1)
      }
      await closeWhileProcessesDie(world)
      await Promise.allSettled(working)
      const rest = await world.db.selectFrom('trainingRuns').select('state').where('state', '=', 'running').execute()
      expect(rest).toEqual([])
    }),
    { numRuns: 40 },
  )
})

async function closeWhileProcessesDie(world: Awaited<ReturnType<typeof openTrainingWorld>>): Promise<void> {
  let isClosed = false
  const closing = world
    .runs()
    .close()
    .finally(() => {
      isClosed = true
    })
  await until(() => {
    for (const trainer of world.trainers) trainer.fail(new AppError('aborted', 'The process was ended.'))
    return isClosed
  })
  await closing
}
