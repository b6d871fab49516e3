import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { startServer } from '../server.ts'

async function countConnections(): Promise<{ port: number; connections: () => number }> {
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { port: (server.address() as AddressInfo).port, connections: () => connections }
}

async function start(settings: Record<string, string>) {
  const server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['x'] }) }), settings })
  onTestFinished(() => server[Symbol.asyncDispose]())
  return server
}

test('no name of a model leads to another host than the hub that the settings name', async () => {
  const inside = await countConnections()
  const hub = await countConnections()
  const { url, login } = await start({ HF_ENDPOINT: `http://127.0.0.1:${hub.port}` })
  const headers = { authorization: `Bearer ${await login('admin')}`, 'content-type': 'application/json' }
  const host = `127.0.0.1:${inside.port}`
  const names = [
    `http://${host}/a`,
    `https://${host}/a/b`,
    `//${host}/a`,
    `${host}/a`,
    `hf:${host}/a/b.gguf`,
    `hf://${host}/a/b.gguf`,
    `x@${host}/a`,
    `@${host}/a`,
    `hf:x@${host}/a/b.gguf`,
    `../../${host}/a`,
    `0x7f000001:${inside.port}/a`,
    `[::1]:${inside.port}/a`,
    'file:///etc/passwd',
    'http://169.254.169.254/latest',
    `a/..%2f..%2f${host}`,
    `a\\@${host}/b`,
  ]
  for (const name of names) {
    const selected = await fetch(`${url}/model`, { method: 'POST', headers, body: JSON.stringify({ model_name: name }) })
    expect(selected.status, name).toBeGreaterThanOrEqual(400)
    if (!name.includes('169.254') && !name.startsWith('file')) expect(inside.connections(), name).toBe(0)
  }
  const refused = names.slice(0, 3)
  for (const name of refused) {
    const pulled = await fetch(`${url}/models/pull`, { method: 'POST', headers, body: JSON.stringify({ name, stream: false }) })
    expect(pulled.status, name).toBe(400)
  }
  expect(inside.connections()).toBe(0)
})

/** These take the address of an image, which is passed on to a cloud model that fetches it itself, and refused by all others. */
const takingImages = [
  'post /v1/chat/completions',
  'post /v1/messages',
  'post /v1/messages/count_tokens',
  'post /v1/responses',
  'post /v1/responses/input_tokens',
]

test('documents are all that can be fetched from an address that a user gives', async () => {
  const { url } = await start({})
  const { paths } = JSON.parse(await (await fetch(`${url}/openapi.json`)).text())
  const taking: string[] = []
  for (const [path, methods] of Object.entries<Record<string, { parameters?: unknown; requestBody?: unknown }>>(paths))
    for (const [method, { parameters = null, requestBody = null }] of Object.entries(methods))
      if (
        /"(?:\w+_)?(?:url|uri|host|hostname|endpoint|address|href|webhook|proxy)":\{/.test(
          JSON.stringify([parameters, requestBody]),
        )
      )
        taking.push(`${method} ${path}`)
  expect(taking.sort()).toEqual(['post /rag/documents', ...takingImages].sort())
})

test('the address of an image is not fetched here', async () => {
  const inside = await countConnections()
  const { url } = await start({})
  const address = `https://127.0.0.1:${inside.port}/a.png`
  const openai = [{ type: 'image_url', image_url: { url: address } }]
  const responses = [{ type: 'input_image', image_url: address }]
  const anthropic = [{ type: 'image', source: { type: 'url', url: address } }]
  const bodies: ReadonlyArray<readonly [path: string, body: object]> = [
    ['/v1/chat/completions', { messages: [{ role: 'user', content: openai }] }],
    ['/v1/responses', { input: [{ role: 'user', content: responses }] }],
    ['/v1/messages', { model: 'fake', max_tokens: 5, messages: [{ role: 'user', content: anthropic }] }],
  ]
  for (const [path, body] of bodies) {
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })
    const told = await response.text()
    expect([path, response.status, told]).toEqual([path, 400, expect.stringContaining('images')])
  }
  expect(inside.connections()).toBe(0)
})
