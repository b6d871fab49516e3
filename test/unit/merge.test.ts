import { writeFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { FromQuantizer, ToQuantizer } from '../../src/engine/local/quantize-protocol.ts'
import type { FromMerger, ToMerger } from '../../src/engine/train/merge-protocol.ts'
import { mergedName } from '../../src/models/quantize-files.ts'
import { findRecord, hashFile } from '../../src/models/verified-file.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { ggufBytes } from '../gguf-bytes.ts'
import { type Script, scriptedProcesses, scriptedQuantizers } from '../quantizer.ts'
import { bodyOf, startServer } from '../server.ts'
import { parseEventStream } from '../sse-parser.ts'
import { createCli } from './cli-world.ts'

/** Writes what a merged model would be, in two steps. */
function* merges({ job }: ToMerger): Generator<FromMerger> {
  writeFileSync(job.target, 'GGUF merged')
  for (const done of [1, 2]) yield { type: 'tensor-written', done, total: 2, bytes: done }
  yield { type: 'merge-end' }
}

function* quantizes(message: ToQuantizer): Generator<FromQuantizer> {
  if (message.type !== 'quantize-start') throw new Error('This process is to quantize.')
  writeFileSync(message.job.target, 'GGUF made')
  yield { type: 'tensor-progress', tensor: 1, tensors: 1 }
  yield { type: 'quantize-end', fallbackTensors: 3 }
}

type MergeScript = Script<ToMerger, FromMerger>
type Scripts = Readonly<{ merge?: readonly MergeScript[]; quantize?: Script<ToQuantizer, FromQuantizer>[] }>

/** A service with the model `big-q8_0` and the adapter `loras/mine`, whose merges go as scripted. */
async function startMerging({ merge = [merges, merges], quantize = [quantizes, quantizes] }: Scripts = {}, settings = {}) {
  const modelsDir = await mkdtemp(join(tmpdir(), 'simpleia-merge-'))
  onTestFinished(() => rm(modelsDir, { recursive: true }))
  const tensors = [{ name: 'output.weight', shape: [32], bytes: 128 }]
  await writeFile(
    join(modelsDir, 'big-q8_0.gguf'),
    ggufBytes({ metadata: { 'general.architecture': 'llama', 'general.file_type': 7 }, tensors }),
  )
  await writeFile(join(modelsDir, 'mine.gguf'), 'GGUF')
  const mergers = scriptedProcesses(...merge)
  const quantizers = scriptedQuantizers(...quantize)
  const server = await startServer({
    host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }),
    settings: { MODELS_DIR: modelsDir, THREADS: '2', ...settings },
    spawnMerger: mergers.spawn,
    spawnQuantizer: quantizers.spawn,
  })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const authorization = `Bearer ${await server.login('root')}`
  const post = (body: object, { path = 'merge', signal = new AbortController().signal } = {}) =>
    fetch(`${server.url}/models/${path}`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    })
  const failureOf = async (body: object) => {
    const response = await post(body)
    return { status: response.status, ...(await bodyOf(response)).error }
  }
  const files = async () => (await readdir(modelsDir)).sort()
  return { server, modelsDir, post, failureOf, files, mergers, quantizers }
}

const before = ['big-q8_0.gguf', 'mine.gguf']
const model = 'big-q8_0+mine'

describe('a merge', () => {
  test('tells of its progress, and installs a model of the quantization of the base with its checksum', async () => {
    const { post, files, modelsDir, mergers, quantizers } = await startMerging()
    const events = parseEventStream(await (await post({ model })).text())
    expect(events.map(({ event }) => event)).toEqual(['merge', 'merge', 'tensor', 'done'])
    expect(JSON.parse(events[1]?.data ?? '')).toEqual({ tensor: 2, tensors: 2 })
    expect(JSON.parse(events.at(-1)?.data ?? '')).toEqual({
      model: 'big-mine-q8_0',
      quantization: 'Q8_0',
      size_bytes: 9,
      fallback_tensors: 3,
    })
    expect(await files()).toEqual(['big-mine-q8_0.gguf', 'big-mine-q8_0.gguf.sha256', ...before])
    const file = join(modelsDir, 'big-mine-q8_0.gguf')
    expect(await findRecord(file)).toEqual({ sha256: await hashFile(file), origin: undefined })
    expect(mergers.jobs).toMatchObject([
      { job: { basePath: join(modelsDir, 'big-q8_0.gguf'), adapterPath: join(modelsDir, 'mine.gguf'), outputType: 'F16' } },
    ])
    expect(quantizers.jobs).toMatchObject([{ job: { source: mergers.jobs[0]?.job.target, quantization: 'Q8_0', threads: 2 } }])
  })

  test('answers JSON when no stream is wanted, under the name and in the quantization that are wished', async () => {
    const { post, files, mergers } = await startMerging()
    const response = await post({ model, quantization: 'BF16', name: 'ours.gguf', stream: false })
    expect(await response.json()).toMatchObject({ model: 'ours', quantization: 'BF16' })
    expect(await files()).toEqual([...before, 'ours.gguf', 'ours.gguf.sha256'])
    // F16 does not reach as far as BF16 does.
    expect(mergers.jobs).toMatchObject([{ job: { outputType: 'F32' } }])
  })

  test('may be asked for by an alias', async () => {
    const { post } = await startMerging({}, { MODEL_ALIASES: `best=${model}` })
    expect(await (await post({ model: 'best', stream: false })).json()).toMatchObject({ model: 'big-mine-q8_0' })
  })

  test('is for admins', async () => {
    const { server, mergers } = await startMerging()
    const authorization = `Bearer ${await server.login('ana')}`
    for (const headers of [{}, { authorization }]) {
      const body = JSON.stringify({ model })
      const request = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body }
      expect([401, 403]).toContain((await fetch(`${server.url}/models/merge`, request)).status)
    }
    expect(mergers.jobs).toEqual([])
  })

  test('is refused before it starts where it cannot be', async () => {
    const { failureOf, mergers, modelsDir } = await startMerging()
    await writeFile(join(modelsDir, 'taken.gguf'), 'GGUF')
    expect(await failureOf({ model, name: 'taken' })).toMatchObject({ status: 409, code: 'conflict' })
    expect(await failureOf({ model: 'big-q8_0' })).toMatchObject({
      status: 400,
      details: [{ field: 'model', expected: 'BASE+ADAPTER' }],
    })
    expect(await failureOf({ model: 'big-q8_0+none' })).toMatchObject({ status: 404, code: 'not_found' })
    expect(await failureOf({ model, quantization: 'IQ2_M' })).toMatchObject({
      status: 400,
      message: expect.stringMatching(/importance matrix/),
    })
    for (const body of [{ model, name: '../x' }, { model, quantization: 'Q9' }, { model, report: true }, {}])
      expect(await failureOf(body)).toMatchObject({ status: 400, code: 'invalid' })
    expect(mergers.jobs).toEqual([])
  })
})

describe('a merge that fails', () => {
  test('leaves nothing, and the next one works', async () => {
    const full = { type: 'job-failed', code: 'storage_full', message: 'It needs 9 MB.' } as const
    function* halfMerged({ job }: ToMerger) {
      writeFileSync(`${job.target}.part`, 'GG')
      yield full
    }
    const dies = () => [{ type: 'exit', reason: 'SIGKILL' } as const]
    const { failureOf, files, post } = await startMerging({
      merge: [halfMerged, dies, merges, merges],
      quantize: [() => [full], quantizes],
    })
    expect(await failureOf({ model })).toMatchObject({ status: 507, code: 'storage_full' })
    expect(await failureOf({ model })).toMatchObject({ status: 503, message: expect.stringContaining('memory') })
    expect(await failureOf({ model, stream: false })).toMatchObject({ status: 507, code: 'storage_full' })
    expect(await files()).toEqual(before)
    expect((await post({ model, stream: false })).status).toBe(200)
  })

  test.each(['while it is merged', 'while it is quantized'])('by leaving %s leaves nothing', async (when) => {
    const hangs: MergeScript = ({ job }) => {
      writeFileSync(`${job.target}.part`, 'GG')
      return [{ type: 'tensor-written', done: 1, total: 9, bytes: 1 }]
    }
    const hangsLater = () => [{ type: 'tensor-progress', tensor: 1, tensors: 9 } as const]
    const world = await startMerging(
      when === 'while it is merged' ? { merge: [hangs, merges] } : { quantize: [hangsLater, quantizes] },
    )
    const leaving = new AbortController()
    const response = await world.post({ model }, { signal: leaving.signal })
    await response.body?.getReader().read()
    // Nothing else is made meanwhile.
    expect(await world.failureOf({ model, name: 'other' })).toMatchObject({ status: 503, code: 'busy' })
    const quantization = await world.post({ model: 'big-q8_0', quantization: 'Q4_0' }, { path: 'quantize' })
    expect(quantization.status).toBe(503)
    leaving.abort()
    await expect.poll(world.files).toEqual(before)
    expect((await world.post({ model, stream: false })).status).toBe(200)
  })

  test('as its process was killed with the service is cleared away by the next one', async () => {
    const { post, modelsDir, files } = await startMerging()
    for (const rest of ['', '.part']) await writeFile(join(modelsDir, `a.gguf.merge-999999999.part${rest}`), 'GG')
    expect((await post({ model, name: 'new', stream: false })).status).toBe(200)
    expect(await files()).toEqual([...before, 'new.gguf', 'new.gguf.sha256'])
  })
})

test('the name of the new model is that of the base with the adapter and the quantization', () => {
  expect(mergedName('gemma-3-270m-q4_k_m', 'loras/lina', 'Q8_0')).toBe('gemma-3-270m-lina-q8_0')
  expect(mergedName('mine/Qwen3-0.6B-F16', 'lina', 'IQ4_XS')).toBe('mine/Qwen3-0.6B-lina-IQ4_XS')
  expect(mergedName('tiny', 'lina', 'Q4_0')).toBe('tiny-lina-Q4_0')
})

test.each([
  ['en_US', /Merging: tensor 1 of 2\n.*Quantizing: tensor 1 of 1\n.*ours is installed \(Q4_0, .*\n3 of its tensors/],
  ['es_ES', /Fusionando: tensor 1 de 2\n.*Cuantizando: tensor 1 de 1\n.*ours está instalado \(Q4_0, .*\n3 de sus tensores/],
])('the command line shows the stages in the language of the person (%s)', async (language, expected) => {
  const { server } = await startMerging()
  const cli = await createCli({ LANG: `${language}.UTF-8` })
  const run = (line: string, input?: string) => cli.run(`${line} --port ${server.port}`, input)
  await run('login root', 'root-has-a-long-password\n')
  const { code, notes } = await run(`models merge ${model} ours --quantization q4_0`)
  expect(code).toBe(0)
  expect(notes).toMatch(expected)
  expect((await run(`models merge ${model} --quantization Q9`)).notes).toMatch(/"Q9".*Q4_K_M/)
  expect(JSON.parse((await run(`models merge ${model} --json`)).output)).toMatchObject({ model: 'big-mine-q8_0' })
})
