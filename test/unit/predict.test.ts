import { describe, expect, test } from 'vitest'
import type { GenerateEvent, Provider } from '../../src/engine/provider.ts'
import { createProviders } from '../../src/engine/providers.ts'
import { AppError } from '../../src/errors.ts'
import { createLifecycle } from '../../src/http/lifecycle.ts'
import { createCache } from '../../src/predict/cache.ts'
import { createPredict, type PredictMetrics, type PredictRequest } from '../../src/predict/predict.ts'
import { textChoice } from '../answers.ts'

const usage = { promptTokens: 3, completionTokens: 2, cachedPromptTokens: 1 }
const timings = { queueMs: 0, promptMs: 1, firstTokenMs: 2, generationMs: 3, tokensPerSecond: 4 }
const end: GenerateEvent = { type: 'generation-end', usage, timings }
const text = (index: number, piece: string): GenerateEvent => ({ type: 'text-delta', index, text: piece })
const choiceEnd = (index: number): GenerateEvent => ({ type: 'choice-end', index, reason: 'stop' })
const never = new AbortController().signal
const asker = { key: 'user:1', authenticated: true, userId: '1', keyId: undefined }

const question: PredictRequest = {
  prompt: { type: 'text', text: 'x' },
  maxTokens: 10,
  choices: 2,
  sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: undefined },
  stop: [],
  model: undefined,
  provider: undefined,
}

function fakeProvider(script: readonly GenerateEvent[]) {
  let freed = 0
  const provider: Provider = {
    name: 'hf',
    ranOn: 'local',
    async choose(name = 'm') {
      if (name !== 'm') throw new AppError('not_found', `No model is called "${name}".`)
      return { name, identity: 'm-1' }
    },
    async *generate() {
      try {
        yield* script
      } finally {
        freed += 1
      }
    },
    countTokens: async () => 1,
    async close() {},
  }
  return { provider, freed: () => freed }
}

function world(script: readonly GenerateEvent[], wrap = (provider: Provider) => provider) {
  const counted: string[] = []
  const metrics: PredictMetrics = {
    cacheHit: () => counted.push('hit'),
    cacheMiss: () => counted.push('miss'),
    firstToken: (seconds) => counted.push(`first after ${seconds}`),
    generationEnd: ({ completionTokens }) => counted.push(`end with ${completionTokens}`),
    generationFailed: (code) => counted.push(code),
  }
  const { provider, freed } = fakeProvider(script)
  const lifecycle = createLifecycle()
  let id = 0
  const predict = createPredict({
    providers: createProviders(wrap(provider), { providers: [], routes: new Map() }),
    cache: createCache({ maxEntries: 10, ttlSeconds: 10, now: () => 1 }),
    admission: lifecycle,
    meter: { admit: async () => {}, note: async () => {} },
    metrics,
    createId: () => {
      id += 1
      return `id-${id}`
    },
    now: () => 1000,
  })
  return { predict, counted, freed, lifecycle }
}

test('choices are gathered by their index, however they are mixed', async () => {
  const { predict, counted } = world([text(1, 'b'), text(0, 'a'), text(1, 'B'), choiceEnd(1), text(0, 'A'), choiceEnd(0), end])
  const answer = await predict.complete(question, asker, never)
  expect(answer).toEqual({
    id: 'id-1',
    provider: 'hf',
    model: 'm',
    ranOn: 'local',
    why: 'default',
    passedBy: [],
    choices: [textChoice('aA'), textChoice('bB', 1)],
    usage,
    timings,
    cached: false,
  })
  expect(counted).toEqual(['miss', 'first after 0', 'end with 2'])
})

test('an answer that came while the file of the model changed is not kept, as either may have given it', async () => {
  for (const switched of ['m-2', undefined]) {
    let identity: string | undefined = 'm-1'
    const { predict, counted } = world([text(0, 'a'), choiceEnd(0), end], (provider) => ({
      ...provider,
      async choose() {
        if (identity === undefined) throw new AppError('not_found', 'The file is gone.')
        return { name: 'm', identity }
      },
      async *generate(request, signal) {
        identity = switched
        yield* provider.generate(request, signal)
      },
    }))
    expect(await predict.complete(question, asker, never)).toMatchObject({ cached: false })
    identity = 'm-1'
    expect(await predict.complete(question, asker, never)).toMatchObject({ cached: false })
    expect(counted).not.toContain('hit')
  }
})

test('an answer that ends without saying so is an error, and is not kept', async () => {
  const { predict, counted } = world([text(0, 'a'), choiceEnd(0)])
  for (let time = 0; time < 2; time += 1) {
    await expect(predict.complete(question, asker, never)).rejects.toMatchObject({ code: 'internal' })
  }
  expect(counted.filter((one) => one === 'internal')).toHaveLength(2)
  expect(counted).not.toContain('hit')
})

test('a reader who breaks off frees the model and the place', async () => {
  const { predict, freed, lifecycle } = world([text(0, 'a'), text(0, 'b'), choiceEnd(0), end])
  for await (const _event of (await predict.open(question, asker, never)).events) break
  expect([freed(), lifecycle.running()]).toEqual([1, 0])
})

describe('what answers', () => {
  const { predict } = world([])

  test('is the selected model, when it is named or nothing is', async () => {
    const target = { provider: 'hf', model: 'm', ranOn: 'local', why: 'default', passedBy: [] }
    expect(await predict.choose({ model: undefined, provider: undefined })).toEqual(target)
    expect(await predict.choose({ model: 'm', provider: 'hf' })).toEqual({ ...target, why: 'requested' })
  })

  test('is nothing else', async () => {
    await expect(predict.choose({ model: 'other', provider: undefined })).rejects.toMatchObject({ code: 'not_found' })
    await expect(predict.choose({ model: undefined, provider: 'claude' })).rejects.toThrow(/"claude" is not configured/)
  })
})

test('nothing is let in once the service shuts down', async () => {
  const { predict, lifecycle } = world([end])
  await lifecycle.drain(0)
  await expect(predict.complete(question, asker, never)).rejects.toThrow(AppError)
  await expect(predict.complete(question, asker, never)).rejects.toMatchObject({ code: 'unavailable' })
})
