import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Fault, sendRange, startHub } from '../hub.ts'
import { linesOf, ollamaClient, postApi } from '../ollama-client.ts'
import { bodyOf, startServer } from '../server.ts'
import { scriptedHost } from './cli-world.ts'
import { content, file, repository } from './pull-world.ts'

/** A service whose hub is on loopback, with its admin's client. */
async function createWorld({ fault, ...settings }: { fault?: Fault; LOCAL_ONLY?: string; MODEL_ALIASES?: string } = {}) {
  const hub = await startHub({ repositories: { [repository]: { [file]: content } }, ...(fault === undefined ? {} : { fault }) })
  const server = await startServer({ host: scriptedHost(['a']).host, settings: { HF_ENDPOINT: hub.endpoint, ...settings } })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const token = await server.login('root')
  const folder = join(server.dataDir, 'models')
  await mkdir(folder, { recursive: true })
  const post = (path: string, body: object) => postApi(server, path, body, { authorization: `Bearer ${token}` })
  return { hub, server, token, folder, client: ollamaClient(server, token), post }
}

test('the official client pulls a model of the hub and sees how far it is', async () => {
  const { client, folder } = await createWorld()
  const parts = []
  for await (const part of await client.pull({ model: `hf.co/${repository}:Q4_K_M`, stream: true })) parts.push(part)
  expect(parts[0]).toEqual({ status: 'pulling manifest' })
  const name = `pulling ${file}`
  expect(parts[1]).toEqual({ status: name, digest: file, total: content.length })
  expect(parts).toContainEqual({ status: name, digest: file, total: content.length, completed: content.length })
  expect(parts.slice(-2)).toEqual([{ status: 'verifying sha256 digest' }, { status: 'success' }])
  expect(await readFile(join(folder, file))).toEqual(content)
})

test('without a stream it answers when the model is there, and what is there needs no pull', async () => {
  const { client, hub, post } = await createWorld({ MODEL_ALIASES: 'mine=Some-Model-Q4_K_M' })
  expect(await client.pull({ model: repository })).toEqual({ status: 'success' })
  // As Ollama's command line says it.
  const whole = { model: repository, name: '', username: '', password: '', insecure: false, stream: false }
  expect(await bodyOf(await post('/pull', whole))).toEqual({ status: 'success' })
  const asked = hub.requests.length
  for (const name of ['Some-Model-Q4_K_M:latest', 'some-model:q4_k_m', 'mine']) {
    expect(await client.pull({ model: name })).toEqual({ status: 'success' })
    expect(await linesOf(await post('/pull', { model: name }))).toEqual([{ status: 'pulling manifest' }, { status: 'success' }])
  }
  expect(hub.requests.length).toBe(asked)
})

test('a pull that fails at once is an ordinary error, and says how models are named', async () => {
  const { client } = await createWorld()
  for (const stream of [true, false] as const) {
    const ask = (model: string) => (stream ? client.pull({ model, stream }) : client.pull({ model }))
    await expect(ask('llama3.2')).rejects.toMatchObject({
      status_code: 400,
      error: expect.stringMatching(/"llama3.2" is no name of the hub. Use owner\/repository.* Ollama's own library/),
    })
    await expect(ask('owner/nothing')).rejects.toMatchObject({ status_code: 404 })
  }
  const alone = await createWorld({ LOCAL_ONLY: 'true' })
  await expect(alone.client.pull({ model: repository })).rejects.toMatchObject({ status_code: 403 })
})

test('one that fails on the way ends with the error as a line', async () => {
  const fault: Fault = ({ kind, range }, response) => {
    if (kind !== 'cdn') return false
    sendRange(Buffer.alloc(content.length), range, response)
    return true
  }
  const { client, post } = await createWorld({ fault })
  expect((await linesOf(await post('/pull', { name: repository }))).at(-1)).toEqual({
    error: expect.stringContaining('checksum'),
  })
  const read = async () => {
    for await (const _part of await client.pull({ model: repository, stream: true }));
  }
  await expect(read()).rejects.toThrow('checksum')
})

test('models are removed, but none that is in use', async () => {
  const { client, folder } = await createWorld()
  for (const name of ['small', 'other']) await writeFile(join(folder, `${name}.gguf`), 'GGUF')
  await expect(client.delete({ model: 'small' })).rejects.toMatchObject({ status_code: 409 })
  await expect(client.delete({ model: 'nobody' })).rejects.toMatchObject({ status_code: 404 })
  await expect(client.delete({ model: '../../etc/passwd' })).rejects.toMatchObject({ status_code: 400 })
  expect(await client.delete({ model: 'other:latest' })).toEqual({ status: 'success' })
  expect(await readdir(folder)).toEqual(['small.gguf'])
})

test('a copy is a second name for the same bytes, which outlives the first', async () => {
  const { client, folder } = await createWorld()
  const parts = ['big-00001-of-00002.gguf', 'big-00002-of-00002.gguf']
  for (const name of ['other.gguf', ...parts]) await writeFile(join(folder, name), name)
  await client.copy({ source: 'other', destination: 'mine/backup:latest' })
  const inodeOf = async (name: string) => (await stat(join(folder, name))).ino
  expect(await inodeOf('mine/backup.gguf')).toBe(await inodeOf('other.gguf'))
  await client.delete({ model: 'other' })
  expect(await readFile(join(folder, 'mine/backup.gguf'), 'utf8')).toBe('other.gguf')
  await client.copy({ source: 'big-00001-of-00002', destination: 'large' })
  expect((await readdir(folder)).filter((name) => name.startsWith('large'))).toEqual(
    parts.map((name) => name.replace('big', 'large')),
  )
  await expect(client.copy({ source: 'mine/backup', destination: 'large-00001-of-00002' })).rejects.toMatchObject({
    status_code: 409,
  })
  await expect(client.copy({ source: 'nobody', destination: 'x' })).rejects.toMatchObject({ status_code: 404 })
  for (const destination of ['../x', 'a:b', '/etc/x', '.hidden'])
    await expect(client.copy({ source: 'mine/backup', destination })).rejects.toMatchObject({ status_code: 400 })
})

test('what is not offered says what is', async () => {
  const { client, server, token } = await createWorld()
  await expect(client.create({ model: 'mario', from: 'small', system: 'You are Mario.' })).rejects.toMatchObject({
    status_code: 404,
    error: expect.stringContaining('/api/pull'),
  })
  await expect(client.push({ model: 'owner/small' })).rejects.toThrow('stay on this machine')
  const blob = await fetch(`${server.url}/api/blobs/sha256:1`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
    body: content,
  })
  expect(await bodyOf(blob)).toEqual({ error: expect.stringContaining('Modelfiles') })
  expect((await fetch(`${server.url}/api/blobs/sha256:1`, { method: 'HEAD' })).status).toBe(401)
})
