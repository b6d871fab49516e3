import { describe, expect, test } from 'vitest'
import { openLogStream } from '../../src/http/log-stream.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, startServer } from '../server.ts'

const canary = 'canary7f3a'

/** Uses the service in many ways with a canary in every secret place; what the log, the errors and the metrics say about it. */
async function leave() {
  const lines: string[] = []
  const failing = createFakeEngine({ answer: () => ({ pieces: [`${canary}-answer`, 'b'], failAfter: 2 }) })
  await using server = await startServer({
    host: { ...failing, list: () => Promise.reject(new TypeError('The list of models broke.')) },
    settings: { LOG_LEVEL: 'trace', RATE_LIMIT_REQUESTS: '15' },
    logStream: { write: (line) => lines.push(line) },
  })
  const shown: string[] = []
  const post = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
    const init = { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) }
    const response = await fetch(server.url + path, { ...init, headers: { 'content-type': 'application/json', ...headers } })
    if (response.status >= 400) shown.push(await response.text())
    return response
  }
  const password = `${canary}-password-1`
  await post('/auth/register', { username: 'ana', password })
  const session = await (await post('/auth/login', { username: 'ana', password })).text()
  const token: string = JSON.parse(session).access_token
  const user = { authorization: `Bearer ${token}` }
  const { id, key } = await bodyOf<{ id: string; key: string }>(await post('/auth/keys', { name: `${canary}-key` }, user))
  const withKey = { authorization: `Bearer ${key}` }
  await post('/predict', { prompt: `${canary}-prompt` }, withKey)
  await post('/feedback', { text: `${canary}-feedback` }, withKey)
  await post('/auth/keys', { name: `${canary}-key`, scopes: [`${canary}-scope`] }, user)
  const offering = (one: string) => server.socket({}, '/predict/ws', ['simpleia', `bearer.${one}`])
  await offering(key).then(({ socket }) => socket.terminate())
  await fetch(`${server.url}/auth/keys/${id}`, { method: 'DELETE', headers: user })
  await post('/predict', { prompt: 'x' }, withKey)
  await offering(key).catch(() => undefined)
  await server.socket({}, `/predict/ws?access_token=${key}`).catch(() => undefined)
  await post('/auth/login', { username: 'ana', password: `${canary}-wrong-password` })
  await post('/auth/login', { username: 'ana', password: `${canary}`.repeat(1000) })
  await post('/auth/register', { username: 'ana', password, [canary.slice(0, 3)]: 1 })
  await post('/predict', { prompt: `${canary}-prompt`, temperature: 0 }, user)
  await post('/predict', { prompt: `${canary}-prompt`, stream: true }, user)
  await post('/predict', { prompt: `${canary}-prompt`, stop: [`${canary}-stop`, 3] }, user)
  await post('/predict', { prompt: `${canary}-prompt`, json_schema: { title: canary } }, user)
  await post('/predict', `{"prompt":"${canary}-prompt",`, user)
  await post('/predict', { prompt: [`${canary}-prompt`] }, { authorization: `Bearer a.${canary}.c` })
  await post(`/predict?access_token=${canary}`, { prompt: 'x' }, { cookie: `simpleia_token=a.${canary}.b` })
  shown.push(await (await fetch(`${server.url}/models?token=${canary}`, { headers: user })).text())
  await fetch(`${server.url}/nowhere?token=${canary}`)
  await fetch(`${server.url}/%zz?token=${canary}`)
  await server.socket({}, `/predict/ws?access_token=a.${canary}.c`).catch(() => undefined)
  await offering(`a.${canary}.c`).catch(() => undefined)
  for (const message of [{ prompt: `${canary}-prompt` }, { prompt: 'x', seed: canary }, `{"prompt":"${canary}`]) {
    const socket = await offering(token)
    socket.send(message)
    shown.push(JSON.stringify((await socket.answer()).filter(({ type }) => type === 'error')))
    socket.socket.terminate()
  }
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  return { log: lines.join(''), shown: shown.join('\n'), metrics, token, secret: key.slice(-43) }
}

test('no password, token, API key, prompt or answer is in the log, in errors or in the metrics', async () => {
  const { log, shown, metrics, token, secret } = await leave()
  expect(log).toContain('"status":503')
  expect(log).toContain('The list of models broke.')
  expect(shown.split('\n').length).toBeGreaterThan(8)
  expect(shown).not.toContain('broke')
  for (const text of [log, shown, metrics]) {
    expect(text).not.toContain(canary)
    expect(text).not.toContain(token)
    expect(text).not.toContain(secret)
  }
})

describe('the log', () => {
  test('has one line for each request, with its id, route, status and duration', async () => {
    const lines: string[] = []
    await using server = await startServer({
      host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }),
      settings: { LOG_LEVEL: 'info' },
      logStream: { write: (line) => lines.push(line) },
    })
    await server.predict({ prompt: 'x' }, { 'x-request-id': 'mine' })
    await expect.poll(() => lines.filter((line) => line.includes('"mine"'))).toHaveLength(1)
    expect(JSON.parse(lines.find((line) => line.includes('"mine"')) ?? '')).toMatchObject({
      reqId: 'mine',
      method: 'POST',
      route: '/predict',
      status: 200,
      durationMs: expect.any(Number),
      caller: 'anonymous',
    })
  })

  test('tells who asks, and nothing of what is asked again and again, but where it fails', async () => {
    const lines: string[] = []
    const host = createFakeEngine({ answer: () => ({ pieces: ['a'] }), models: [] })
    await using server = await startServer({
      host,
      settings: { LOG_LEVEL: 'info' },
      logStream: { write: (line) => lines.push(line) },
    })
    const authorization = `Bearer ${await server.login('ana')}`
    const ask = (path: string, headers: Record<string, string> = {}) => fetch(server.url + path, { headers })
    const body = JSON.stringify({ name: 'k' })
    const headers = { authorization, 'content-type': 'application/json' }
    const made = await fetch(`${server.url}/auth/keys`, { method: 'POST', headers, body })
    const { key } = await bodyOf<{ key: string }>(made)
    for (const path of ['/health', '/metrics', '/health/ready']) await ask(path)
    await ask('/models', { authorization })
    await ask('/models', { authorization: `Bearer ${key}` })
    const told = () => lines.filter((line) => line.includes('answered')).map((line) => JSON.parse(line))
    await expect.poll(() => told().filter(({ route }) => route === '/models')).toHaveLength(2)
    expect(told().map(({ route, caller }) => [route, caller])).toEqual([
      ['/auth/register', undefined],
      ['/auth/login', undefined],
      ['/auth/keys', 'admin'],
      ['/health/ready', undefined],
      ['/models', 'admin'],
      ['/models', 'admin key'],
    ])
  })
})

test.runIf(process.platform === 'linux')('a log on a full disk does not end the service', async () => {
  const host = createFakeEngine({ answer: () => ({ pieces: ['x'] }) })
  await using server = await startServer({ host, logStream: openLogStream('/dev/full'), settings: { LOG_LEVEL: 'info' } })
  for (let times = 0; times < 3; times += 1) expect((await server.predict({ prompt: 'x' })).status).toBe(200)
})
