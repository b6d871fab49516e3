import { expect, test } from 'vitest'
import { beginsWith, isSilent, refuses, says, streams, tears, tearsAfter } from '../cloud-server.ts'
import { kinds } from '../cloud-world.ts'
import { asks, dialects } from '../dialects.ts'
import { answerAll, modelOf, startServiceWorld } from '../service-world.ts'

const hello = streams(kinds.custom.hello)
const names = ['claude', 'openai', 'gpu', 'box'] as const
const model = 'cluster/qwen-test'

const startCluster = () =>
  startServiceWorld({
    file: () => ({
      providers: [
        {
          name: 'cluster',
          type: 'custom',
          base_urls: ['https://gpu.example/v1', 'https://spare.example/v1'],
          models: ['qwen-test'],
          limits: { max_retries: 1 },
        },
      ],
    }),
  })

test('several servers share the requests', async () => {
  const { clouds, ...world } = await startCluster()
  const whole = { clouds, ...world }
  clouds.gpu.answer(beginsWith(kinds.custom.begun))
  clouds.spare.answer(hello)
  const leaving = new AbortController()
  const held = asks['chat as a stream'](whole, model, {}, leaving.signal).catch(() => 'left')
  await clouds.gpu.request(0)
  // The other one, as long as the first has a request under way.
  for (let number = 0; number < 3; number += 1) expect((await asks.chat(whole, model)).text).toBe('Hello there')
  expect([clouds.gpu.requests.length, clouds.spare.requests.length]).toEqual([1, 3])
  leaving.abort()
  expect(await held).toBe('left')
})

test('one that dies is left out, nobody notices, and it comes back', async () => {
  const world = await startCluster()
  const { gpu, spare } = world.clouds
  gpu.answer(tears)
  spare.answer(hello)
  for (let number = 0; number < 4; number += 1) expect((await asks.chat(world, model)).text).toBe('Hello there')
  expect(gpu.requests).toHaveLength(1)
  gpu.answer(says(200, 'application/json', '{"data":[]}'), hello)
  expect(await gpu.request(1)).toMatchObject({ method: 'GET', path: '/v1/models' })
  await expect
    .poll(async () => {
      await asks.chat(world, model)
      return gpu.requests.length
    })
    .toBeGreaterThan(2)
})

test('an answer that has begun is not begun again elsewhere', async () => {
  const world = await startCluster()
  world.clouds.gpu.answer(tearsAfter(kinds.custom.begun))
  world.clouds.spare.answer(hello)
  expect(await asks['chat as a stream'](world, model)).toMatchObject({ text: 'Hello', error: 'upstream' })
  expect(world.clouds.spare.requests).toHaveLength(0)
})

test('where all are down, the caller is told when to come back', async () => {
  const world = await startCluster()
  for (const server of [world.clouds.gpu, world.clouds.spare])
    server.answer(refuses(500, kinds.custom.failure('Broken.', 'server_error')))
  expect((await asks.chat(world, model)).status).toBe(503)
  const told = await asks.chat(world, model)
  expect([told.status, told.headers.get('retry-after')]).toEqual([503, '1'])
})

test('one that is too slow is given up, before and in an answer', async () => {
  const world = await startServiceWorld({
    file: (usual) => ({
      providers: usual.providers.map((one) => ({
        ...one,
        limits: { max_retries: 0, first_token_seconds: 0.2, idle_seconds: 0.2 },
      })),
    }),
  })
  answerAll(world, { claude: isSilent, openai: isSilent })
  for (const name of names)
    expect(await asks.messages(world, `${name}/${modelOf[name]}`)).toMatchObject({ status: 502, error: 'api_error' })
  answerAll(world, { claude: beginsWith(kinds.claude.begun), openai: beginsWith(kinds.custom.begun) })
  for (const name of names)
    expect(await asks['chat as a stream'](world, `${name}/${modelOf[name]}`)).toMatchObject({ text: 'Hello', error: 'upstream' })
})

test('names that nobody has are told by every dialect, and nobody is asked', async () => {
  const world = await startServiceWorld()
  for (const dialect of dialects) {
    for (const model of ['nobody/gpt-test', 'claude/none', 'gpt-test']) {
      const told = await asks[dialect](world, model)
      expect([told.status, told.error], `${dialect} ${model}`).toEqual([dialect === 'the socket' ? 101 : 404, expect.any(String)])
    }
  }
  for (const dialect of ['predict', 'chat', 'responses'] as const)
    expect(await asks[dialect](world, 'gpt-test', { provider: 'nobody' })).toMatchObject({ status: 400 })
  for (const dialect of ['messages', 'ollama'] as const)
    expect(await asks[dialect](world, 'gpt-test', { provider: 'openai' })).toMatchObject({ status: 400 })
  expect(world.outside).toEqual([])
})
