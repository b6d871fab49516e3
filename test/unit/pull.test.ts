import { randomBytes, randomUUID } from 'node:crypto'
import { readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { PullEvent } from '../../src/models/download-events.ts'
import { createModelRegistry } from '../../src/models/registry.ts'
import { type Fault, sendRange, type startHub } from '../hub.ts'
import { content, createWorld, file, limits, never, repository } from './pull-world.ts'

const gigabyte = 1024 ** 3
const bytes = (text: string) => Buffer.from(text.padEnd(100))

describe('a pull', () => {
  test('installs the file and says so, with its progress on the way', async () => {
    let time = 0
    const { run, events, expectInstalled, types } = await createWorld({ now: () => (time += 100) })
    expect(await run()).toEqual({ type: 'model-ready', file, name: 'Some-Model-Q4_K_M' })
    await expectInstalled()
    expect(types()).toEqual(['download-start', 'download-progress', 'file-check', 'model-ready'])
    const progress = events.filter((event) => event.type === 'download-progress')
    expect(progress.at(-1)).toMatchObject({ receivedBytes: content.length, totalBytes: content.length, secondsLeft: 0 })
    expect(progress.length).toBeGreaterThan(1)
  })

  test('fetches each byte once, several ranges at a time, all of one commit', async () => {
    // The first request shows that there are ranges; those that follow it are held until all of them are there.
    const held: Array<() => void> = []
    let asked = 0
    const fault: Fault = ({ kind, range }, response) => {
      if (kind !== 'cdn') return false
      asked += 1
      if (asked === 1 || asked > limits.parallel) return false
      held.push(() => sendRange(content, range, response))
      if (held.length === limits.parallel - 1) for (const release of held) release()
      return true
    }
    const { run, hub } = await createWorld({ hub: { fault } })
    await run()
    expect(hub.sentBytes()).toBe(content.length)
    // The redirect is followed once: its address serves the other ranges.
    expect(hub.of('resolve')).toHaveLength(1)
    expect(hub.of('resolve', 'tree').every(({ url }) => url.includes('/c0ffee0'))).toBe(true)
  })

  test('of what is installed already asks for the list only', async () => {
    const { run, hub } = await createWorld()
    await run()
    expect(await run()).toMatchObject({ type: 'model-ready' })
    expect(hub.of('cdn', 'resolve').every(({ kind }, index) => index > 0 || kind === 'resolve')).toBe(true)
    expect(hub.sentBytes()).toBe(content.length)
  })

  test('that is stopped keeps what arrived, and the next one fetches only the rest', async () => {
    const { pull, run, hub, files, expectInstalled, modelsDir } = await createWorld()
    const stop = new AbortController()
    const stopped = (async () => {
      for await (const event of pull(repository, stop.signal))
        if (event.type === 'download-start') await untilSent(hub, 150_000, stop)
    })()
    await expect(stopped).rejects.toMatchObject({ code: 'aborted', message: expect.stringContaining('go on') })
    expect(await files()).toEqual([`${file}.part`, `${file}.part.json`])
    const { ranges } = JSON.parse(await readFile(join(modelsDir, `${file}.part.json`), 'utf8'))
    const kept = ranges.reduce((sum: number, [from, to]: [number, number]) => sum + to - from, 0)
    expect(kept).toBeGreaterThan(50_000)
    const before = hub.sentBytes()
    await run()
    await expectInstalled()
    expect(hub.sentBytes() - before).toBe(content.length - kept)
  })

  test('that is stopped in the middle of its ranges keeps those beginnings', async () => {
    let time = 0
    const fault: Fault = ({ kind, range }, response) => {
      if (kind !== 'cdn') return false
      const [, from, to] = /(\d+)-(\d+)/.exec(range ?? '') ?? []
      response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${content.length}` })
      response.write(content.subarray(Number(from), Number(from) + 1000))
      return true
    }
    const { pull, modelsDir } = await createWorld({ hub: { fault }, now: () => (time += 1000) })
    const stop = new AbortController()
    const stopped = (async () => {
      for await (const event of pull(repository, stop.signal))
        if (event.type === 'download-progress' && event.receivedBytes === limits.parallel * 1000) stop.abort()
    })()
    await expect(stopped).rejects.toMatchObject({ code: 'aborted' })
    const { ranges } = JSON.parse(await readFile(join(modelsDir, `${file}.part.json`), 'utf8'))
    const beginnings = Array.from({ length: limits.parallel }, (_, index) => index * limits.segmentBytes)
    expect(ranges).toEqual(beginnings.map((from) => [from, from + 1000]))
  })

  test('whose reader leaves stops, too', async () => {
    const { pull, files } = await createWorld()
    for await (const event of pull(repository, never)) if (event.type === 'download-start') break
    expect(await files()).toEqual([`${file}.part`, `${file}.part.json`])
  })

  test('at the same time as another of the same file shares its transfer', async () => {
    const world = await createWorld({ wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms / 50)) })
    await Promise.all([world.run(), world.run(`${repository}:Q4_K_M`), world.run(`hf:${repository}/${file}`)])
    await world.expectInstalled()
    expect(world.hub.sentBytes()).toBe(content.length)
    expect(world.types()).toContain('download-wait')
  })

  test('of the file of a dead process takes its lock over', async () => {
    const { run, modelsDir, expectInstalled, types } = await createWorld()
    await writeFile(join(modelsDir, `${file}.lock`), `${process.pid} ${randomUUID()}`)
    await run()
    await expectInstalled()
    await writeFile(join(modelsDir, `${file}.lock`), `1 ${randomUUID()}`)
    await utimes(join(modelsDir, `${file}.lock`), new Date(0), new Date(0))
    await run()
    await expectInstalled()
    expect(types()).not.toContain('download-wait')
  })

  test('that is given another name of the file waits for a live process until it is stopped', async () => {
    const stop = new AbortController()
    const { run, modelsDir } = await createWorld({ wait: async () => stop.abort() })
    await writeFile(join(modelsDir, `${file}.lock`), `1 ${randomUUID()}`)
    await expect(run(repository, stop.signal)).rejects.toMatchObject({ code: 'aborted' })
  })

  test('is refused where nothing may leave the machine, or the name is none of the hub', async () => {
    const fetch = () => expect.unreachable('a call left the machine')
    const local = await createWorld({ localOnly: true, fetch })
    await expect(local.run()).rejects.toMatchObject({ code: 'forbidden', message: expect.stringContaining('LOCAL_ONLY') })
    const { run } = await createWorld({ fetch })
    for (const name of ['gemma', 'gemma:2b', '../x', 'a/b/c', 'hf:a/b/../c.gguf', 'http://a/b', 'file:///etc/passwd'])
      await expect(run(name), name).rejects.toMatchObject({ code: 'invalid' })
  })
})

async function untilSent(hub: Awaited<ReturnType<typeof startHub>>, bytes: number, stop: AbortController): Promise<void> {
  while (hub.sentBytes() < bytes) await new Promise((resolve) => setImmediate(resolve))
  stop.abort()
}

/** A hub with a repository of these files, each of its own size, and the file that a pull takes. */
async function chosenFrom(names: Readonly<Record<string, number>>, asked = repository, memoryBytes = 100 * gigabyte) {
  const all = Object.fromEntries(Object.keys(names).map((name) => [name, bytes(name)]))
  const fault: Fault = ({ kind }, response) => {
    if (kind !== 'tree') return false
    const sizes = Object.entries(names)
      .map(([path, exact]) => ({ path, size: Math.round(exact) }))
      .map(({ path, size }) => ({
        type: 'file',
        path,
        oid: '0',
        size,
        lfs: { oid: '0'.repeat(64), size },
      }))
    response.end(JSON.stringify(sizes))
    return true
  }
  const { pull } = await createWorld({ hub: { repositories: { [repository]: all }, fault }, memoryBudget: () => memoryBytes })
  for await (const event of pull(asked, never)) if (event.type === 'download-start') return event.file
  return undefined
}

describe('of the files of a repository', () => {
  const files = {
    'README.md': 1000,
    'imatrix.gguf': 5,
    'mmproj-Model-F16.gguf': gigabyte,
    'Model-F16.gguf': 16 * gigabyte,
    'Model-Q8_0.gguf': 8 * gigabyte,
    'UD/Model-UD-Q4_K_XL.gguf': 4.5 * gigabyte,
    'Model-Q4_K_M.gguf': 4 * gigabyte,
    'Model-IQ4_XS.gguf': 3.8 * gigabyte,
    'Model-Q2_K.gguf': 2 * gigabyte,
  }

  test('the best that fits into memory is taken', async () => {
    expect(await chosenFrom(files)).toBe('Model-Q4_K_M.gguf')
    expect(await chosenFrom(files, repository, 4.3 * gigabyte)).toBe('Model-IQ4_XS.gguf')
    expect(await chosenFrom(files, repository, 3 * gigabyte)).toBe('Model-Q2_K.gguf')
    expect(await chosenFrom({ 'b-Q8_0.gguf': 8, 'a-F16.gguf': 16, 'x.gguf': 1 })).toBe('b-Q8_0.gguf')
  })

  test('none is taken when none fits, and the numbers say why', async () => {
    await expect(chosenFrom(files, repository, gigabyte)).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/Q2_K, needs about 2.20 GB.*1.00 GB \(MEMORY_BUDGET\).*Model-GGUF:Q2_K/),
    })
  })

  test('the quantization that is asked for is taken, whatever its case, place and size', async () => {
    expect(await chosenFrom(files, `${repository}:f16`, gigabyte)).toBe('Model-F16.gguf')
    expect(await chosenFrom(files, `${repository}:q4_k_xl`)).toBe('Model-UD-Q4_K_XL.gguf')
    expect(await chosenFrom({ 'Q5_K_M/m.GGUF': 1 }, `${repository}:Q5_K_M`)).toBe('m.gguf')
    await expect(chosenFrom(files, `${repository}:Q6_K`)).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringMatching(/no quantization Q6_K.*Q4_K_M.*Q8_0/),
    })
  })

  test('a file that is asked for is taken, and no name that leads elsewhere ever', async () => {
    expect(await chosenFrom(files, `hf:${repository}/Model-Q8_0.gguf`)).toBe('Model-Q8_0.gguf')
    await expect(chosenFrom(files, `hf:${repository}/other.gguf`)).rejects.toMatchObject({ code: 'not_found' })
    await expect(chosenFrom({ '../../evil.gguf': 1, '/etc/x.gguf': 1, 'a\\b.gguf': 1 })).rejects.toMatchObject({
      code: 'not_found',
    })
  })
})

test('a list of many pages is read to its end', async () => {
  const many = Object.fromEntries(Array.from({ length: 25 }, (_, index) => [`notes-${index}.txt`, bytes(String(index))]))
  const { run, hub, expectInstalled } = await createWorld({
    hub: { repositories: { [repository]: { ...many, [file]: content } }, pageSize: 4 },
  })
  await run()
  await expectInstalled()
  expect(hub.of('tree')).toHaveLength(7)
})

describe('a split model', () => {
  const part = (index: number) => `Q8_0/big-Q8_0-0000${index}-of-00003.gguf`
  const parts = [1, 2, 3].map(() => randomBytes(70_000))
  const repositories = { [repository]: Object.fromEntries(parts.map((bytes, index) => [part(index + 1), bytes])) }

  test('is listed when all of its files are there, not before', async () => {
    const { pull, modelsDir, hub } = await createWorld({ hub: { repositories } })
    const { list } = createModelRegistry(modelsDir)
    let last: PullEvent | undefined
    for await (const event of pull(`${repository}:Q8_0`, never)) {
      if (event.type !== 'model-ready') expect(await list()).toEqual([])
      last = event
    }
    expect(last).toMatchObject({ name: 'big-Q8_0-00001-of-00003' })
    expect(await list()).toEqual(['big-Q8_0-00001-of-00003'])
    for (const [index, bytes] of parts.entries())
      expect((await readFile(join(modelsDir, `big-Q8_0-0000${index + 1}-of-00003.gguf`))).equals(bytes)).toBe(true)
    expect(hub.sentBytes()).toBe(210_000)
  })

  test('is completed where one of its files is missing', async () => {
    const { run, modelsDir, hub } = await createWorld({ hub: { repositories } })
    await writeFile(join(modelsDir, 'big-Q8_0-00002-of-00003.gguf'), parts[1] ?? '')
    await run()
    expect(hub.sentBytes()).toBe(140_000)
    expect(await createModelRegistry(modelsDir).list()).toEqual(['big-Q8_0-00001-of-00003'])
  })

  test('that has lost a later file gets that one back', async () => {
    const { run, modelsDir, hub } = await createWorld({ hub: { repositories } })
    await run()
    await rm(join(modelsDir, 'big-Q8_0-00002-of-00003.gguf'))
    const { list } = createModelRegistry(modelsDir)
    expect(await list()).toEqual([])
    await run()
    expect(await list()).toEqual(['big-Q8_0-00001-of-00003'])
    expect(hub.sentBytes()).toBe(280_000)
  })

  test('of which the hub lacks a file is none', async () => {
    const { run } = await createWorld({ hub: { repositories: { [repository]: { [part(1)]: content, [part(3)]: content } } } })
    await expect(run()).rejects.toMatchObject({ code: 'not_found' })
  })
})

test('a model with the file name of another one goes to a folder that is called as on the hub', async () => {
  const repositories = { 'a/one': { 'model.gguf': randomBytes(5000) }, 'b/two': { 'model.gguf': randomBytes(5000) } }
  const { run, modelsDir } = await createWorld({ hub: { repositories } })
  expect(await run('a/one')).toMatchObject({ name: 'model' })
  expect(await run('b/two')).toMatchObject({ name: 'b/two/model' })
  expect(await run('b/two')).toMatchObject({ name: 'b/two/model' })
  const { list, find } = createModelRegistry(modelsDir)
  expect(await list()).toEqual(['b/two/model', 'model'])
  expect((await find('b/two')).name).toBe('b/two/model')
})

test('a newer version of the file takes the place of the old one', async () => {
  const files: Record<string, Buffer> = { [file]: content }
  const { run, expectInstalled } = await createWorld({ hub: { repositories: { [repository]: files } } })
  await run()
  const newer = randomBytes(200_000)
  files[file] = newer
  await run()
  await expectInstalled(file, newer)
})

test('a repository with a checkpoint only gives its files in a hidden folder', async () => {
  const files = {
    'README.md': bytes('readme'),
    'config.json': bytes('{}'),
    'tokenizer.json': bytes('{"a":1}'),
    'chat_template.jinja': bytes('{{x}}'),
    'model.safetensors.index.json': bytes('{"b":1}'),
    'model-00001-of-00002.safetensors': randomBytes(90_000),
    'model-00002-of-00002.safetensors': randomBytes(90_000),
    'consolidated.safetensors': randomBytes(90_000),
    '1_Pooling/config.json': bytes('{"c":1}'),
    'modules.json': bytes('[]'),
    'onnx/model.onnx': bytes('onnx'),
    'pytorch_model.bin': randomBytes(90_000),
    'modeling_evil.py': bytes('import os'),
  }
  const { run, modelsDir, events } = await createWorld({
    hub: { repositories: { 'sentence/tiny': files }, small: (path) => !path.endsWith('.safetensors') },
  })
  const folder = join(modelsDir, '.checkpoints', 'sentence', 'tiny')
  expect(await run('sentence/tiny')).toEqual({ type: 'checkpoint-ready', folder, repository: 'sentence/tiny' })
  const left = ['README.md', 'consolidated.safetensors', 'onnx/model.onnx', 'pytorch_model.bin', 'modeling_evil.py']
  const expected = Object.entries(files).filter(([name]) => !left.includes(name))
  for (const [name, bytes] of expected) expect((await readFile(join(folder, name))).equals(bytes)).toBe(true)
  const found = (await readdir(folder, { recursive: true })).filter((name) => !name.endsWith('.sha256') && name !== '1_Pooling')
  expect(found.sort()).toEqual(expected.map(([name]) => name).sort())
  expect(await createModelRegistry(modelsDir).list()).toEqual([])
  expect(events.some(({ type }) => type === 'download-progress')).toBe(true)
})
