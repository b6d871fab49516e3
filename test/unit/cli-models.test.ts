import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { expect, test } from 'vitest'
import type { Context } from '../../src/cli/context.ts'
import { speak } from '../../src/cli/messages.ts'
import { pullModel } from '../../src/cli/pull.ts'
import { createScriptedCli, refuse, spanish, streamOf } from './cli-scripted.ts'
import { createCli } from './cli-world.ts'

const admin = { id: '1', username: 'ana', role: 'admin' }
const told = (data: object) => ({ event: 'progress', data: { id: 'pull-1', ...data } })

test('what the service tells of a pull is shown as that of a pull without one', async () => {
  const progress = { received_bytes: 512, total_bytes: 1024, bytes_per_second: 100, seconds_left: null }
  const pull = streamOf(
    told({ type: 'download-wait' }),
    told({ type: 'download-start', file: 'big.gguf', total_bytes: 1024 }),
    told({ type: 'download-progress', ...progress }),
    told({ type: 'download-retry', reason: 'ECONNRESET' }),
    told({ type: 'file-check', file: 'big.gguf' }),
    told({ type: 'checkpoint-ready', repository: 'owner/big' }),
    told({ type: 'convert-progress', done: 2, total: 2 }),
    { event: 'done', data: { name: 'big' } },
  )
  const { run, asked } = await createScriptedCli({ 'GET /auth/me': admin, 'POST /models/pull': pull }, { isPerson: true })
  const { code, notes } = await run('models pull owner/big')
  expect(code).toBe(0)
  expect(asked.at(-1)).toMatchObject({ path: '/models/pull', body: { name: 'owner/big' } })
  const parts = [
    'Waiting',
    'big.gguf (1.0 KB)',
    '50 %',
    'ECONNRESET',
    'Checking',
    'owner/big',
    'tensor 2 of 2',
    'big is installed',
  ]
  const places = parts.map((part) => notes.indexOf(part))
  expect(places).not.toContain(-1)
  expect(places).toEqual(places.toSorted((one, other) => one - other))
  expect(notes).toMatch(/50 %.*\?/)
})

test('why a pull of the service failed is told in the language of the person', async () => {
  const failure = { event: 'error', data: { error: { code: 'storage_full', message: 'The disk is full.' } } }
  const script = { 'GET /auth/me': admin, 'POST /models/pull': () => streamOf(told({ type: 'download-wait' }), failure) }
  const { run } = await createScriptedCli(script, { variables: spanish })
  expect(await run('models pull owner/big')).toMatchObject({
    code: 1,
    notes: expect.stringMatching(/\nEl servicio dice \(en inglés\): The disk is full\.\n$/),
  })
})

test.each([
  ['a stop of the pull ends it at the service', () => new Response(null, { status: 204 })],
  ['a pull that has ended meanwhile needs no stop', () => refuse(404, { code: 'not_found', message: 'No such pull.' })],
])('Ctrl-C: %s, and the command says how to go on', async (_, cancel) => {
  const stop = new AbortController()
  const calls: string[] = []
  const fetch: typeof globalThis.fetch = async (url, options = {}) => {
    const { pathname } = new URL(String(url))
    calls.push(`${options.method} ${pathname}`)
    if (pathname === '/auth/me') return Response.json(admin)
    if (options.method === 'DELETE') return cancel()
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const writer = writable.getWriter()
    void writer.write(Buffer.from('event: progress\ndata: {"id":"pull-1","type":"download-wait"}\n\n')).then(() => stop.abort())
    options.signal?.addEventListener('abort', () => void writer.abort(new Error('The person left.')))
    return new Response(readable)
  }
  const notes = new PassThrough()
  const context: Context = {
    ...{ words: ['owner/big'], flags: new Set<string>(), values: new Map<string, string>(), settings: {}, environment: {} },
    ...{ envFile: undefined, language: 'en', say: speak('en'), fetch, version: '1.2.3' },
    terminal: { input: Readable.from([]), output: new PassThrough(), notes },
  }
  expect(await pullModel(context, { signal: stop.signal })).toBe(130)
  expect(calls.at(-1)).toBe('DELETE /models/pulls/pull-1')
  expect(String(notes.read())).toContain('"./run_llm.sh models pull owner/big" goes on')
})

test('a link out of the models folder spoils no list, and what is in memory is said', async () => {
  const served = { models: [{ name: 'small', loaded: true }], memory: { budget_bytes: 1, used_bytes: 0 } }
  const home = (await createCli()).home
  const modelsDir = join(home, 'models')
  await mkdir(modelsDir)
  await writeFile(join(modelsDir, 'small.gguf'), 'GGUF')
  await writeFile(join(home, 'outside.gguf'), 'GGUF')
  await symlink(join(home, 'outside.gguf'), join(modelsDir, 'link.gguf'))
  const { run } = await createScriptedCli({ 'GET /models': served }, { variables: { MODELS_DIR: modelsDir } })
  expect((await run('models')).output).toBe('small\t4 B\tin memory\n')
  expect(JSON.parse((await run('models --json')).output)).toEqual([
    { name: 'small', size_bytes: 4, loaded: true, selected: false },
  ])
})

test('that no model answers after a change is said', async () => {
  const none = { model_name: null, provider: 'hf', ran_on: 'local', loaded: false, state: 'none' }
  const { run } = await createScriptedCli({ 'POST /admin/reload': none })
  expect(await run('admin reload')).toMatchObject({ code: 0, notes: 'No model is loaded.\n' })
})

test('a quantization tells of its matrix, and of a report that could not be made', async () => {
  const done = { model: 'mine', size_bytes: 2048, fallback_tensors: 0, report: null }
  const report_error = { code: 'unavailable', message: 'The process ended.' }
  const script = {
    'POST /models/quantize': () =>
      streamOf(
        { event: 'calibrate', data: { chunk: 1, chunks: 3 } },
        { event: 'tensor', data: { tensor: 1, tensors: 2 } },
        { event: 'done', data: { ...done, report_error } },
      ),
  }
  const { run, asked } = await createScriptedCli(script)
  expect(await run('models quantize big q4_k_m --name mine')).toEqual({
    code: 0,
    output: '',
    notes:
      '  Importance matrix: text 1 of 3\n  Quantizing: tensor 1 of 2\n' +
      'The model mine is installed (2.0 KB).\nIt could not be measured: The process ended.\n',
  })
  expect(asked).toMatchObject([{ body: { model: 'big', quantization: 'Q4_K_M', name: 'mine', report: true } }])
})

test.each(['models quantize big q8_0', 'models merge big+ours'])(
  'a service that goes away while it does "%s" is told',
  async (line) => {
    const gone = () => streamOf({ event: 'tensor', data: { tensor: 1, tensors: 2 } })
    const { run } = await createScriptedCli({
      ...{ 'POST /models/quantize': gone, 'POST /models/merge': gone },
      'GET /health': { status: 'ok' },
    })
    expect(await run(line)).toMatchObject({
      code: 1,
      notes: expect.stringMatching(/tensor 1 of 2\nThe service went away in the middle of the answer\.\n$/),
    })
  },
)
