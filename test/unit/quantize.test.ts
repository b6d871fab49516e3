import { writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { ToQuantizer } from '../../src/engine/local/quantize-protocol.ts'
import { quantizedName } from '../../src/models/quantize-files.ts'
import { createModelRegistry } from '../../src/models/registry.ts'
import { processMark } from '../../src/storage/left-behind.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { measurement, scriptedQuantizers } from '../quantizer.ts'
import { bodyOf, startServer } from '../server.ts'
import { parseEventStream } from '../sse-parser.ts'

type Scripts = Parameters<typeof scriptedQuantizers>

/** Writes what a model would be, in three steps. */
function* writes(message: ToQuantizer) {
  if (message.type !== 'quantize-start') throw new Error('This process is to quantize.')
  writeFileSync(message.job.target, 'GGUF made')
  yield { type: 'calibration-progress', chunk: 1, chunks: 1 } as const
  for (const tensor of [1, 2]) yield { type: 'tensor-progress', tensor, tensors: 2 } as const
  yield { type: 'quantize-end', fallbackTensors: 3 } as const
}

function* measures() {
  yield { type: 'measure-progress', chunk: 1, chunks: 2 } as const
  yield { type: 'measure-end', measurement } as const
}

const hangs = () => [{ type: 'tensor-progress', tensor: 1, tensors: 9 } as const]

/** A service with the model `big-f16`, whose quantizations go as scripted. */
async function startQuantizing(...scripts: Scripts) {
  const modelsDir = await mkdtemp(join(tmpdir(), 'simpleia-quantize-'))
  onTestFinished(() => rm(modelsDir, { recursive: true }))
  await writeFile(join(modelsDir, 'big-f16.gguf'), 'GGUF')
  const { spawn, jobs, killed } = scriptedQuantizers(...scripts)
  const host = createFakeEngine({ answer: () => ({ pieces: ['a'] }) })
  const server = await startServer({ host, settings: { MODELS_DIR: modelsDir, THREADS: '2' }, spawnQuantizer: spawn })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const authorization = `Bearer ${await server.login('root')}`
  const post = (body: object, signal?: AbortSignal) =>
    fetch(`${server.url}/models/quantize`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'big-f16', quantization: 'Q8_0', ...body }),
      ...(signal === undefined ? {} : { signal }),
    })
  const failureOf = async (body: object) => {
    const response = await post(body)
    return { status: response.status, ...(await bodyOf(response)).error }
  }
  const files = async () => (await readdir(modelsDir, { recursive: true })).sort()
  return { server, modelsDir, post, failureOf, files, jobs, killed, authorization }
}

describe('a quantization', () => {
  test('tells of its progress, installs the model, and ends with the report', async () => {
    const { post, files, jobs, modelsDir } = await startQuantizing(writes, measures)
    const response = await post({ calibration_text: ['¿Qué hora es?', 'Write a poem.'] })
    const events = parseEventStream(await response.text())
    expect(events.map(({ event }) => event)).toEqual(['calibrate', 'tensor', 'tensor', 'measure', 'done'])
    expect(JSON.parse(events[1]?.data ?? '')).toEqual({ tensor: 1, tensors: 2 })
    const done = JSON.parse(events.at(-1)?.data ?? '')
    expect(done).toMatchObject({ model: 'big-q8_0', size_bytes: 9, fallback_tensors: 3 })
    expect(done.report).toMatchObject({
      importance_matrix: true,
      text: { given: false, chunks: 2, scored_tokens: 510 },
      original: { model: 'big-f16', size_bytes: 4, perplexity: 10 },
      result: { model: 'big-q8_0', kl_divergence: 0.01, top_agreement: 0.95 },
    })
    expect(await files()).toEqual(['big-f16.gguf', 'big-q8_0.gguf', 'big-q8_0.report.json'])
    expect(await createModelRegistry(modelsDir).list()).toEqual(['big-f16', 'big-q8_0'])
    expect(jobs[0]).toMatchObject({
      type: 'quantize-start',
      job: { quantization: 'Q8_0', threads: 2, calibrationText: '¿Qué hora es?\n\nWrite a poem.' },
    })
    expect(jobs[1]).toMatchObject({ job: { original: join(modelsDir, 'big-f16.gguf'), text: expect.stringContaining('ferry') } })
  })

  test('answers JSON when no stream is wanted, and measures only when a report is', async () => {
    const { post, files, jobs } = await startQuantizing(writes)
    const response = await post({ stream: false, report: false, name: 'small' })
    expect(await response.json()).toEqual({ model: 'small', size_bytes: 9, fallback_tensors: 3, report: null })
    expect(jobs).toHaveLength(1)
    expect(await files()).toEqual(['big-f16.gguf', 'small.gguf'])
  })

  test('keeps a model that cannot be measured, and says why', async () => {
    const fails = () => [{ type: 'job-failed', code: 'invalid', message: 'It does not predict tokens.' } as const]
    const { post, files } = await startQuantizing(writes, fails)
    expect(await (await post({ stream: false })).json()).toMatchObject({
      model: 'big-q8_0',
      report: null,
      report_error: { code: 'invalid', message: 'It does not predict tokens.' },
    })
    expect(await files()).toEqual(['big-f16.gguf', 'big-q8_0.gguf'])
  })

  test('is for admins', async () => {
    const { server, jobs } = await startQuantizing(writes)
    const authorization = `Bearer ${await server.login('ana')}`
    const body = JSON.stringify({ model: 'big-f16', quantization: 'Q8_0' })
    for (const headers of [{}, { authorization }]) {
      const request = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body }
      expect([401, 403]).toContain((await fetch(`${server.url}/models/quantize`, request)).status)
    }
    expect(jobs).toEqual([])
  })
})

describe('before anything is started', () => {
  test('a name that leads out of the folder is refused', async () => {
    const { failureOf, modelsDir, jobs } = await startQuantizing()
    const outside = await mkdtemp(join(tmpdir(), 'simpleia-outside-'))
    onTestFinished(() => rm(outside, { recursive: true }))
    await symlink(outside, join(modelsDir, 'way-out'))
    for (const name of ['../x', '/etc/x', 'a/../../x', 'C:\\x', 'x\u0000', 'way-out/x', 'nowhere/x'])
      expect(await failureOf({ name }), name).toMatchObject({ status: 400, code: 'invalid' })
    for (const model of ['../big-f16', 'way-out/x']) expect([400, 404]).toContain((await failureOf({ model })).status)
    expect(jobs).toEqual([])
  })

  test('a model of the same name is not overwritten, the original least of all', async () => {
    const { failureOf, modelsDir, jobs } = await startQuantizing()
    await writeFile(join(modelsDir, 'big-q8_0.gguf'), 'GGUF')
    for (const body of [{}, { name: 'big-f16' }, { name: 'big-q8_0.gguf' }, { quantization: 'F16' }])
      expect(await failureOf(body)).toMatchObject({ status: 409, code: 'conflict', message: expect.stringContaining('already') })
    expect(jobs).toEqual([])
  })

  test('a quantization that needs an importance matrix is refused without a text for it', async () => {
    const { failureOf, jobs } = await startQuantizing()
    expect(await failureOf({ quantization: 'IQ2_XS' })).toMatchObject({
      code: 'invalid',
      details: [{ field: 'calibration_text' }],
    })
    expect(await failureOf({ quantization: 'Q9' })).toMatchObject({ status: 400, code: 'invalid' })
    expect(await failureOf({ model: 'none' })).toMatchObject({ status: 404, code: 'not_found' })
    expect(jobs).toEqual([])
  })

  test('what a killed process has left is removed, what a living one writes is not', async () => {
    const { post, modelsDir, files } = await startQuantizing(writes)
    await writeFile(join(modelsDir, 'a.gguf.quantize-999999999.part'), 'GG')
    await writeFile(join(modelsDir, `b.gguf.quantize-${process.ppid}.part`), 'GG')
    await writeFile(join(modelsDir, 'c.gguf.part'), 'GG')
    expect((await post({ report: false, stream: false })).status).toBe(200)
    expect(await files()).toEqual([`b.gguf.quantize-${process.ppid}.part`, 'big-f16.gguf', 'big-q8_0.gguf', 'c.gguf.part'])
  })
})

describe('a quantization that fails', () => {
  test('leaves nothing, and the next one works', async () => {
    const full = () => [{ type: 'job-failed', code: 'storage_full', message: 'It needs 9 MB.' } as const]
    const dies = () => [{ type: 'exit', reason: 'SIGABRT' } as const]
    const { failureOf, files, post } = await startQuantizing(full, dies, writes)
    expect(await failureOf({})).toMatchObject({ status: 507, code: 'storage_full' })
    expect(await failureOf({})).toMatchObject({
      status: 503,
      code: 'unavailable',
      message: expect.stringMatching(/SIGABRT.*damaged/),
    })
    expect(await files()).toEqual(['big-f16.gguf'])
    expect((await post({ report: false, stream: false })).status).toBe(200)
  })

  test('after it began ends the stream with the error', async () => {
    const dies = () => [...hangs(), { type: 'exit', reason: 'SIGKILL' } as const]
    const { post, files } = await startQuantizing(dies)
    const events = parseEventStream(await (await post({})).text())
    expect(events.map(({ event }) => event)).toEqual(['tensor', 'error'])
    expect(JSON.parse(events[1]?.data ?? '')).toMatchObject({
      error: { code: 'unavailable', message: expect.stringContaining('memory') },
    })
    expect(await files()).toEqual(['big-f16.gguf'])
  })
})

describe('who asks for a quantization', () => {
  test('is refused while another runs, and stops it by leaving', async () => {
    const { post, failureOf, files, killed } = await startQuantizing(hangs, writes)
    const leaving = new AbortController()
    const response = await post({}, leaving.signal)
    await response.body?.getReader().read()
    expect(await files()).toEqual(['big-f16.gguf', 'big-q8_0.gguf.lock', `big-q8_0.gguf.quantize-${processMark}.part`])
    expect(await failureOf({ name: 'other' })).toMatchObject({ status: 503, code: 'busy' })
    leaving.abort()
    await expect.poll(files).toEqual(['big-f16.gguf'])
    expect(killed).toEqual([true])
    expect((await post({ report: false, stream: false })).status).toBe(200)
  })

  test('keeps the model without a report by leaving while it is measured', async () => {
    const { post, files, killed } = await startQuantizing(writes, () => [{ type: 'measure-progress', chunk: 1, chunks: 9 }])
    const leaving = new AbortController()
    const response = await post({}, leaving.signal)
    await expect.poll(() => killed.length).toBe(2)
    leaving.abort()
    await expect.poll(() => killed).toEqual([true, true])
    await expect.poll(files).toEqual(['big-f16.gguf', 'big-q8_0.gguf'])
    await response.text().catch(() => {})
  })

  test('loses it when the service stops', async () => {
    const { post, server, files, killed } = await startQuantizing(hangs)
    const response = await post({})
    await server.app.close({ graceMs: 0 })
    expect([killed, await files()]).toEqual([[true], ['big-f16.gguf']])
    await response.text().catch(() => {})
  })
})

describe('a report', () => {
  test('is kept beside the model, also of one in a folder, until the file changes', async () => {
    const { post, server, modelsDir } = await startQuantizing(writes, measures)
    await mkdir(join(modelsDir, 'mine'))
    await (await post({ name: 'mine/small' })).text()
    const get = (name: string) => fetch(`${server.url}/models/${encodeURIComponent(name)}/report`)
    expect(await (await get('mine/small')).json()).toMatchObject({ result: { model: 'mine/small', kl_divergence: 0.01 } })
    expect(JSON.parse(await readFile(join(modelsDir, 'mine', 'small.report.json'), 'utf8'))).toHaveProperty('original')
    await writeFile(join(modelsDir, 'mine', 'small.gguf'), 'another')
    for (const name of ['mine/small', 'big-f16', 'none', '../x']) expect([400, 404], name).toContain((await get(name)).status)
  })
})

test('the name of the new model is that of the original with the other quantization', () => {
  expect(quantizedName('gemma-3-270m-q4_k_m', 'Q8_0')).toBe('gemma-3-270m-q8_0')
  expect(quantizedName('mine/Qwen3-0.6B-F16', 'IQ4_XS')).toBe('mine/Qwen3-0.6B-IQ4_XS')
  expect(quantizedName('llama.BF16-00001-of-00003', 'Q4_K_M')).toBe('llama-Q4_K_M')
  expect(quantizedName('tiny', 'Q4_0')).toBe('tiny-Q4_0')
})
