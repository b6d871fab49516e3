import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { GenerateRequest, ModelHost, SamplingParameters, TokenLogprob } from '../../src/engine/provider.ts'
import { collect } from '../../src/predict/collect.ts'
import { openRealHost, type RealHost, realModel } from '../real-host.ts'

const settings = { CONTEXT_SIZE: '2048' }
let real: RealHost
let plain: RealHost

beforeAll(async () => {
  real = await openRealHost(settings)
  plain = await openRealHost({ ...settings, SPECULATION: 'false' })
})
afterAll(async () => {
  for (const { host, remove } of [real, plain]) {
    await host.close()
    await remove()
  }
})

const never = new AbortController().signal

type Question = Omit<Partial<GenerateRequest>, 'sampling'> & { text: string; sampling?: Partial<SamplingParameters> }

async function ask(host: ModelHost, { text, sampling, ...more }: Question) {
  const greedy = { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: undefined }
  const base = { model: realModel, maxTokens: 30, choices: 1, stop: [], user: 'ana' }
  const prompt = { type: 'text', text } as const
  return (await collect(host.generate({ ...base, ...more, prompt, sampling: { ...greedy, ...sampling } }, never))).choices
}

const capital = 'La capital de España es'
const passage = 'The old lighthouse stood on a rock far from the shore, and every evening a keeper climbed its hundred steps. '
const questions = [
  capital,
  'The largest planet is',
  `${passage}\n\nOnce more:\n\n${passage.slice(0, 30)}`,
  'Un emoji: 😀😀🎉 y otro:',
]

const joined = (tokens: readonly TokenLogprob[]) => Buffer.from(tokens.flatMap(({ bytes }) => bytes)).toString()
const massOf = ({ top }: TokenLogprob) => top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)

describe('log-probabilities', () => {
  test('of a greedy answer are those of the likeliest tokens, which leave some probability to the others', async () => {
    for (const text of questions) {
      const [choice] = await ask(real.host, { text, logprobs: 20 })
      expect(choice?.tokens).toHaveLength(30)
      for (const token of choice?.tokens ?? []) {
        const { top, ...chosen } = token
        expect(top).toHaveLength(20)
        expect(top[0]).toEqual(chosen)
        expect(top.map(({ logprob }) => logprob)).toEqual(top.map(({ logprob }) => logprob).toSorted((a, b) => b - a))
        expect(chosen.logprob).toBeLessThanOrEqual(0)
        expect(massOf(token)).toBeLessThan(1)
      }
      expect(massOf(choice?.tokens[0] ?? { text: '', bytes: [], logprob: 0, top: [] })).toBeGreaterThan(0.1)
      // An unfinished character at the very end has tokens, and no text.
      expect(joined(choice?.tokens ?? []).startsWith(choice?.text ?? '-')).toBe(true)
      expect(choice?.text.length).toBeGreaterThan(joined(choice?.tokens ?? []).length - 3)
    }
  })

  test('change no answer, and are the same alone, beside others, and with passages guessed or not', async () => {
    const asked = (host: ModelHost) => questions.map((text) => () => ask(host, { text, logprobs: 3 }))
    const alone = []
    for (const one of asked(real.host)) alone.push(await one())
    expect(await Promise.all(asked(real.host).map((one) => one()))).toEqual(alone)
    expect(await Promise.all(asked(plain.host).map((one) => one()))).toEqual(alone)
    for (const [index, text] of questions.entries()) {
      expect((await ask(real.host, { text }))[0]?.text).toBe(alone[index]?.[0]?.text)
    }
  })

  test('of drawn tokens are those that the model gave, whatever the temperature', async () => {
    const choices = await ask(real.host, {
      text: capital,
      logprobs: 1,
      choices: 3,
      sampling: { temperature: 2, topK: 50, seed: 3 },
    })
    expect(choices).toHaveLength(3)
    const [greedy] = await ask(real.host, { text: capital, logprobs: 1, maxTokens: 1 })
    for (const { text, tokens } of choices) {
      expect(joined(tokens).startsWith(text)).toBe(true)
      expect(tokens[0]?.top).toEqual(greedy?.tokens[0]?.top)
      expect(tokens.some(({ logprob, top }) => logprob < (top[0]?.logprob ?? 0))).toBe(true)
    }
  })
})

describe('scores that the caller changes', () => {
  test('a bias of -100 keeps a token from an answer', async () => {
    // Which number the token has is not told: the likeliest goes when one of all numbers is forbidden.
    const [before] = await ask(real.host, { text: capital, logprobs: 2, maxTokens: 1 })
    const numbers = Array.from({ length: 262_144 }, (_, token) => token)
    let [from, to] = [0, numbers.length]
    while (to - from > 1) {
      const middle = (from + to) >> 1
      const logitBias = Object.fromEntries(numbers.slice(from, middle).map((token) => [token, -100]))
      const [now] = await ask(real.host, { text: capital, maxTokens: 1, sampling: { logitBias } })
      if (now?.text === before?.text) from = middle
      else to = middle
    }
    const [after] = await ask(real.host, { text: capital, logprobs: 2, maxTokens: 1, sampling: { logitBias: { [from]: -100 } } })
    const second = before?.tokens[0]?.top[1]
    expect(after?.tokens[0]).toMatchObject({ text: second?.text, logprob: second?.logprob, top: before?.tokens[0]?.top })
    const [same] = await ask(real.host, { text: capital, maxTokens: 1, sampling: { logitBias: { [from + 1]: -100 } } })
    expect(same?.text).toBe(before?.text)
  })

  test('a bias for what is no token is refused with the size of the vocabulary', async () => {
    await expect(ask(real.host, { text: capital, sampling: { logitBias: { 262144: 1 } } })).rejects.toThrow(
      /"262144".*262144 tokens/,
    )
  })

  test('penalties keep an answer from going round in circles', async () => {
    const kinds = async (sampling: Partial<SamplingParameters>) => {
      const [choice] = await ask(real.host, { text: 'My favourite colour is', logprobs: 0, maxTokens: 60, sampling })
      return new Set(choice?.tokens.map((token) => token.text)).size
    }
    const [free, present, frequent] = [await kinds({}), await kinds({ presencePenalty: 2 }), await kinds({ frequencyPenalty: 2 })]
    expect(free).toBeLessThan(30)
    expect(present).toBeGreaterThan(1.3 * free)
    expect(frequent).toBeGreaterThan(1.3 * free)
  })
})
