import { expect, test } from 'vitest'
import { collect } from '../../src/predict/collect.ts'
import { ask, chooses, createCloudWorld, failureOf, never } from '../cloud-world.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { startServer } from '../server.ts'

test('another simpleIA is a custom provider', async () => {
  const host = createFakeEngine({ answer: () => ({ pieces: ['Grüße', ', ', '👩‍🚀', '!'] }), models: ['fake'] })
  await using server = await startServer({ host })
  const { provider, egress } = createCloudWorld('custom', [server.url], { models: [{ name: 'fake' }], apiKey: undefined })
  const sampling = chooses({ temperature: 0, topK: 3, seed: 7 })
  const { choices, usage } = await collect(provider.generate(ask({ model: 'fake', choices: 2, sampling, stop: ['!'] }), never))
  expect(choices).toMatchObject([{ text: 'Grüße, 👩‍🚀', reason: 'stop' }, { text: 'Grüße, 👩‍🚀' }])
  expect(usage.completionTokens).toBeGreaterThan(0)
  expect(egress.calls[0]?.usage).toEqual(usage)
  const missing = await failureOf(collect(provider.generate(ask({ model: 'none' }), never)))
  expect(missing).toMatchObject({ code: 'not_found', message: expect.stringContaining('"none"') })
  await provider.close()
})

test('what a caller cancels stops the model of another simpleIA', async () => {
  const host = createFakeEngine({ answer: () => ({ pieces: ['on and '], end: false }), models: ['fake'], pauseMs: 1 })
  await using server = await startServer({ host })
  const { provider } = createCloudWorld('custom', [server.url], { models: [{ name: 'fake' }] })
  for await (const _event of provider.generate(ask({ model: 'fake' }), never)) break
  await expect.poll(() => host.status().active).toBe(0)
})
