import { PassThrough, Readable } from 'node:stream'
import { expect, test } from 'vitest'
import type { Context } from '../../src/cli/context.ts'
import { speak } from '../../src/cli/messages.ts'
import { watchTraining } from '../../src/cli/train.ts'
import type { RunAnswer } from '../../src/training/schema.ts'
import { createScriptedCli, refuse, streamOf } from './cli-scripted.ts'

const plan = {
  ...{ examples: 4, too_long: 1, empty: 1, held_out: 1, tokens: 400, targets: 100, steps: 10, trainable_parameters: 1000 },
  ...{ memory_bytes: 1024 ** 3, seconds: 60, parity: { ours: 1, reference: 1, tolerance: 1 } },
}
/** One that has just been asked for, with what a test wants of it. */
const runOf = (more: Partial<Record<keyof RunAnswer, unknown>> = {}) => ({
  ...{ id: 'id-1', name: 'mine', state: 'queued', stopping: false, yielding: false, queue_position: 2, model: 'tiny' },
  ...{
    dataset: { id: 'd', name: 'facts', version: 1 },
    parameters: { method: 'sft', modules: ['attn_q', 'ffn_up'] },
    plan: null,
  },
  ...{ step: 0, loss: null, held_out_loss: null, trained_seconds: 0, yielded_seconds: 0, resident_bytes: null },
  ...{ served_as: null, error: null },
  ...more,
})
const told = (event: string, data: object) => ({ event, data })
const stepOf = (step: number, ms: number) => told('step', { step, epoch: 1, loss: 2, tokens: 100, ms })

const watched = (...events: ReadonlyArray<ReturnType<typeof told>>) => ({
  'GET /training/runs/mine': runOf(),
  'GET /training/runs/id-1/metrics': () => streamOf(...events),
})

test('a run is told from the queue to its end: that it waits, prepares, stands still, goes on, and each of it once', async () => {
  const going = runOf({ state: 'running', queue_position: null })
  const planned = { ...going, plan }
  const script = watched(
    ...[told('run', runOf()), told('run', runOf()), told('run', runOf({ queue_position: null }))],
    ...[told('run', going), told('run', going), told('run', planned), told('run', planned)],
    ...[told('resume', { step: 5 }), stepOf(6, 0), told('run', { ...planned, yielding: true }), stepOf(7, 50)],
    told('epoch', { epoch: 1, step: 10, train_loss: 2, held_out_loss: null }),
    told('done', { ...planned, state: 'completed', served_as: 'tiny+mine', trained_seconds: 9 }),
  )
  const line = '\r\u001b[K'
  const { run } = await createScriptedCli(script, { isPerson: true })
  const { code, notes } = await run('train watch mine')
  expect([code, notes.split('\n')]).toEqual([
    0,
    [
      'Run mine (id-1): tiny learns from facts:1.',
      'Runs before it: 2.',
      'Runs before it: 0.',
      'Reading the examples and comparing the model with llama.cpp.',
      '4 examples (2 left out), 1 held out; 10 steps in all, 400 tokens an epoch; about 1 min 0 s and 1.0 GB of memory.',
      'It goes on after step 5.',
      `  Step 6/10, loss 2.0000, 0 tokens/s${line}  It stands still while models answer.` +
        `${line}  Step 7/10, loss 2.0000, 2000 tokens/s${line}Epoch 1 at step 10: loss 2.0000, held-out loss –`,
      'Done after 9 s of training. What was learned answers as tiny+mine.',
      'Compare it with the model in use: ./run_llm.sh train evaluate mine',
      '',
    ],
  ])
  const inFile = await (await createScriptedCli(script)).run('train watch mine')
  expect(inFile.notes).not.toMatch(/Step|stands still|\r/)
})

test.each([
  [{ state: 'completed' }, 0, /The run is completed\.\n$/],
  [{ state: 'interrupted' }, 1, /interrupted\.\nGo on with it later: .* train resume mine\n$/],
  [{ state: 'failed', error: { code: 'internal', message: 'NaN \u001b[2J' } }, 1, /failed\.\nWhy: NaN \[2J\n$/],
] as const)('a run that comes to rest as %o gives the code %i', async (end, code, words) => {
  const { run } = await createScriptedCli(watched(told('done', runOf(end))))
  expect(await run('train watch mine')).toMatchObject({ code, notes: expect.stringMatching(words) })
})

test('a service that goes away while somebody watches is told; a person who leaves has the code of that', async () => {
  const script = { ...watched(told('run', runOf())), 'GET /health': { status: 'ok' } }
  const { run } = await createScriptedCli(script)
  expect(await run('train watch mine')).toMatchObject({ code: 1, notes: expect.stringContaining('went away in the middle') })

  const stop = new AbortController()
  const notes = new PassThrough()
  const fetch: typeof globalThis.fetch = async (url) => {
    if (!String(url).includes('/metrics')) return Response.json(runOf())
    stop.abort()
    throw new Error('The request was stopped.')
  }
  const context: Context = {
    ...{ words: ['mine'], flags: new Set<string>(), values: new Map<string, string>(), settings: {}, environment: {} },
    ...{ envFile: undefined, language: 'en', say: speak('en'), fetch, version: '1.2.3' },
    terminal: { input: Readable.from([]), output: new PassThrough(), notes },
  }
  expect(await watchTraining(context, stop)).toBe(130)
  expect(String(notes.read())).toMatch(/The run goes on\. Look again with: .* train watch mine\n$/)
})

test('runs are listed and shown as far as they are known', async () => {
  const far = runOf({
    ...{ name: 'far', state: 'failed', plan, step: 3, loss: 1.5, held_out_loss: 1.25, trained_seconds: 61, yielded_seconds: 5 },
    ...{ resident_bytes: 2048, served_as: 'tiny+far', error: { code: 'internal', message: 'The loss is NaN.' } },
  })
  const { run } = await createScriptedCli({
    'GET /training/runs': { items: [runOf(), far], next_cursor: null },
    'GET /training/runs/mine': runOf({ plan }),
    'GET /training/runs/new': runOf(),
    'GET /training/runs/far': far,
  })
  expect((await run('train list')).output).toBe(
    'id-1\tmine\twaiting\ttiny\tfacts:1\t0\t–\nid-1\tfar\tfailed\ttiny\tfacts:1\t3/10\t1.5000\n',
  )
  expect(JSON.parse((await run('train list --json')).output)).toMatchObject([{ name: 'mine' }, { name: 'far' }])
  const rowsOf = async (line: string) => (await run(line)).output.trimEnd().split('\n')
  const known = [/^id +id-1$/, /^state +waiting$/, /^model +tiny$/, /^dataset +facts:1$/]
  const parameters = /^parameters +method=sft modules=attn_q,ffn_up$/
  const match = (...rows: readonly RegExp[]) => rows.map((row) => expect.stringMatching(row))
  expect(await rowsOf('train show new')).toEqual(match(...known, /^steps +0$/, /^trained +0 s$/, parameters))
  expect(await rowsOf('train show mine')).toContainEqual(expect.stringMatching(/^memory +1\.0 GB$/))
  expect((await rowsOf('train show far')).slice(4)).toEqual(
    match(
      ...[/^steps +3\/10$/, /^loss +1\.5000$/, /^held-out loss +1\.2500$/, /^trained +1 min 1 s$/, /^stood still +5 s$/],
      ...[/^memory +2\.0 KB$/, /^answers as +tiny\+far$/, parameters, /^Why: The loss is NaN\.$/],
    ),
  )
})

test('a change is told: that it comes after the step under way, or how the run is now; with --json all of it', async () => {
  const { run } = await createScriptedCli({
    'GET /training/runs/mine': runOf(),
    'POST /training/runs/id-1/pause': runOf({ state: 'running', stopping: true }),
    'POST /training/runs/id-1/cancel': runOf({ state: 'cancelled' }),
  })
  expect((await run('train pause mine')).notes).toBe('mine will stop after the step under way.\n')
  expect((await run('train cancel mine')).notes).toBe('The run is cancelled.\n')
  expect(JSON.parse((await run('train cancel mine --json')).output)).toMatchObject({ state: 'cancelled' })
})

test('who may not see a run is told so, not that there is none', async () => {
  const { run } = await createScriptedCli({
    'GET /training/runs/mine': refuse(403, { code: 'forbidden', message: 'Only admins train.' }),
  })
  expect(await run('train show mine')).toMatchObject({ code: 1, notes: 'Only admins train.\n' })
})
