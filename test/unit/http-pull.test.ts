import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createGate, type Fault, sendRange, startHub } from '../hub.ts'
import { bodyOf, startServer } from '../server.ts'
import { type ParsedEvent, readEvents } from '../sse-parser.ts'
import { scriptedHost } from './cli-world.ts'
import { content, file, repository } from './pull-world.ts'

/** A service whose hub is on loopback, and its admin. */
async function createWorld({ fault, ...settings }: { fault?: Fault } & Record<string, unknown> = {}) {
  const hub = await startHub({ repositories: { [repository]: { [file]: content } }, ...(fault === undefined ? {} : { fault }) })
  const server = await startServer({
    host: scriptedHost(['a']).host,
    settings: { HF_ENDPOINT: hub.endpoint, HF_TOKEN: 'hf_canary', ...(settings as Record<string, string>) },
  })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const authorization = `Bearer ${await server.login('root')}`
  const ask = (method: string, path: string, body?: object, signal?: AbortSignal) =>
    fetch(server.url + path, {
      method,
      headers: { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    })
  return { hub, server, ask }
}

async function collect(response: Response): Promise<ParsedEvent[]> {
  const events: ParsedEvent[] = []
  for await (const event of readEvents(response)) events.push(event)
  return events
}

type List = Readonly<{ pulls: ReadonlyArray<Readonly<{ id: string; name: string; progress: unknown }>> }>

const turn = () => new Promise((resolve) => setImmediate(resolve))

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await turn()
}

test('POST /models/pull tells its progress and ends with the name of the model', async () => {
  const { ask } = await createWorld()
  const response = await ask('POST', '/models/pull', { name: repository })
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  const events = await collect(response)
  const progress = events.filter(({ event }) => event === 'progress').map(({ data }) => JSON.parse(data))
  expect(progress[0]).toEqual({ id: progress[0].id, type: 'download-start', file, total_bytes: content.length })
  expect(progress.find(({ type }) => type === 'download-progress')).toMatchObject({
    received_bytes: content.length,
    total_bytes: content.length,
    seconds_left: 0,
  })
  expect(events.at(-1)).toMatchObject({ event: 'done', data: '{"name":"Some-Model-Q4_K_M"}' })
})

test('without a stream the answer comes when the model is there; a failure is an ordinary error', async () => {
  const { ask } = await createWorld()
  expect(await (await ask('POST', '/models/pull', { name: repository, stream: false })).json()).toEqual({
    name: 'Some-Model-Q4_K_M',
  })
  for (const stream of [true, false]) {
    const missing = await ask('POST', '/models/pull', { name: 'owner/nothing', stream })
    expect({ status: missing.status, body: await missing.json() }).toMatchObject({
      status: 404,
      body: { error: { code: 'not_found' } },
    })
    expect((await ask('POST', '/models/pull', { name: '../../etc/passwd', stream })).status).toBe(400)
  }
})

test('a failure on the way ends the stream with the error', async () => {
  const fault: Fault = ({ kind, range }, response) => {
    if (kind !== 'cdn') return false
    sendRange(Buffer.alloc(content.length), range, response)
    return true
  }
  const { ask } = await createWorld({ fault })
  const events = await collect(await ask('POST', '/models/pull', { name: repository }))
  expect(events.at(-1)?.event).toBe('error')
  expect(JSON.parse(events.at(-1)?.data ?? '')).toMatchObject({
    error: { code: 'upstream', message: expect.stringContaining('checksum') },
  })
})

test('a second request joins the pull, and a caller who leaves does not end it', async () => {
  const gate = createGate()
  const { ask, hub } = await createWorld({ fault: gate.fault })
  const leaving = new AbortController()
  const left = ask('POST', '/models/pull', { name: repository }, leaving.signal).then((response) => response.text())
  await until(gate.isReached)
  leaving.abort()
  await expect(left).rejects.toThrow('abort')
  const second = ask('POST', '/models/pull', { name: `hf:${repository}`, stream: false })
  const list = await bodyOf<List>(await ask('GET', '/models/pulls'))
  expect(list).toMatchObject({ pulls: [{ name: repository, progress: null, stage: { type: 'download-start' } }], ended: [] })
  gate.open()
  expect(await (await second).json()).toEqual({ name: 'Some-Model-Q4_K_M' })
  expect(hub.sentBytes()).toBe(content.length)
  await until(async () => (await bodyOf<List>(await ask('GET', '/models/pulls'))).pulls.length === 0)
})

test('DELETE /models/pulls/{id} stops a pull for all who watch it', async () => {
  const gate = createGate()
  const { ask, server } = await createWorld({ fault: gate.fault })
  const streamed = ask('POST', '/models/pull', { name: repository }).then((response) => collect(response))
  await until(gate.isReached)
  const { pulls } = await bodyOf<List>(await ask('GET', '/models/pulls'))
  expect((await ask('DELETE', `/models/pulls/${pulls[0]?.id}`)).status).toBe(204)
  expect((await streamed).at(-1)).toMatchObject({ event: 'error', data: expect.stringContaining('"aborted"') })
  expect((await ask('DELETE', `/models/pulls/${pulls[0]?.id}`)).status).toBe(404)
  expect(await readdir(join(server.dataDir, 'models'))).toEqual([`${file}.part`, `${file}.part.json`])
})

test('a service that stops ends its pulls and tells those who watch', async () => {
  const gate = createGate()
  const { ask, server } = await createWorld({ fault: gate.fault })
  const streamed = ask('POST', '/models/pull', { name: repository }).then((response) => collect(response))
  await until(gate.isReached)
  await server.app.close({ graceMs: 0 })
  expect((await streamed).at(-1)?.event).toBe('error')
  expect((await readdir(join(server.dataDir, 'models'))).filter((name) => name.endsWith('.lock'))).toEqual([])
})

test('DELETE /models/{name} removes all files of a model, but of none that is in use', async () => {
  const { ask, server } = await createWorld()
  const folder = join(server.dataDir, 'models')
  await mkdir(join(folder, 'owner', 'deep'), { recursive: true })
  const parts = ['owner/deep/big-00001-of-00002.gguf', 'owner/deep/big-00002-of-00002.gguf']
  for (const name of [
    'small.gguf',
    'other.gguf',
    'other.gguf.sha256',
    'other.report.json',
    'other.gguf.part',
    'other.gguf.part.json',
    ...parts,
  ])
    await writeFile(join(folder, name), 'GGUF')
  expect((await ask('DELETE', '/models/small')).status).toBe(409)
  for (const name of ['..%2f..%2fetc%2fpasswd', '%252e%252e/other', '%2fetc%2fpasswd', 'C:%5Cx', 'a%00b'])
    expect((await ask('DELETE', `/models/${name}`)).status, name).toBe(400)
  expect((await ask('DELETE', '/models/nothing')).status).toBe(404)
  expect((await ask('DELETE', '/models/owner%2Fdeep/big-00002-of-00002')).status).toBe(400)
  expect(await (await ask('DELETE', '/models/other')).json()).toEqual({ name: 'other' })
  expect(await (await ask('DELETE', '/models/owner%2Fdeep/big-00001-of-00002')).json()).toEqual({
    name: 'owner/deep/big-00001-of-00002',
  })
  expect(await readdir(folder, { recursive: true })).toEqual(['small.gguf'])
})

test('only admins pull and remove', async () => {
  const { server } = await createWorld()
  const authorization = `Bearer ${await server.login('somebody')}`
  for (const [method, path] of [
    ['POST', '/models/pull'],
    ['GET', '/models/pulls'],
    ['DELETE', '/models/small'],
    ['DELETE', '/models/pulls/x'],
  ] as const) {
    expect((await fetch(server.url + path, { method, headers: { authorization } })).status).toBe(403)
    expect((await fetch(server.url + path, { method })).status).toBe(401)
  }
})

test('LOCAL_ONLY=true refuses to pull', async () => {
  const { ask, hub } = await createWorld({ LOCAL_ONLY: 'true' })
  expect((await ask('POST', '/models/pull', { name: repository })).status).toBe(403)
  expect(hub.requests).toEqual([])
})

test('how the last pulls ended is told to who was away: what was installed, what went wrong, who was stopped', async () => {
  const gate = createGate()
  const { ask } = await createWorld({ fault: gate.fault })
  await ask('POST', '/models/pull', { name: 'owner/nothing', stream: false })
  const stopped = ask('POST', '/models/pull', { name: repository, stream: false })
  await until(gate.isReached)
  const { pulls } = await bodyOf<List>(await ask('GET', '/models/pulls'))
  await ask('DELETE', `/models/pulls/${pulls[0]?.id}`)
  await stopped
  gate.open()
  await ask('POST', '/models/pull', { name: repository, stream: false })
  expect(await bodyOf(await ask('GET', '/models/pulls'))).toMatchObject({
    ended: [
      { name: repository, model: 'Some-Model-Q4_K_M', error: null, ended_at: expect.any(String) },
      { name: repository, model: null, error: { code: 'aborted' } },
      { name: 'owner/nothing', model: null, error: { code: 'not_found' } },
    ],
  })
})
