import { HumanMessage, type MessageContent, ToolMessage } from '@langchain/core/messages'
import { ChatOpenAI, type ChatOpenAIFields, OpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { expect } from 'vitest'
import type { Client } from './features.ts'
import { areVectorsOfTexts, colour, endless, gather, pixel, question, texts, told, weather, weatherIn } from './questions.ts'
import { expectFreed, type World } from './world.ts'

const at = (url: string, apiKey: string) => ({ configuration: { baseURL: `${url}/v1` }, apiKey, maxRetries: 0 })
const real = (world: World, fields: ChatOpenAIFields = {}) =>
  new ChatOpenAI({ model: world.model, temperature: 0, maxTokens: 12, ...at(world.real, 'none'), ...fields })
const scripted = (world: World, fields: ChatOpenAIFields = {}, apiKey = world.key) =>
  new ChatOpenAI({ model: 'scripted', ...at(world.scripted, apiKey), ...fields })

const tools = [{ type: 'function' as const, function: weather }]

async function runTools(world: World, stream: boolean): Promise<string> {
  const model = scripted(world).bindTools(tools)
  const asked = [new HumanMessage('Oslo and Rome?')]
  const ask = async (messages: Parameters<typeof model.invoke>[0]) => {
    if (!stream) return model.invoke(messages)
    const parts = await gather(await model.stream(messages))
    return parts.reduce((whole, part) => whole.concat(part))
  }
  const called = await ask(asked)
  const results = (called.tool_calls ?? []).map(
    ({ id = '', args }) => new ToolMessage({ content: weatherIn(args.city), tool_call_id: id }),
  )
  return (await ask([...asked, called, ...results])).text
}

const promptTokens = ({ usage_metadata: usage }: { usage_metadata?: { input_tokens: number } | undefined }) =>
  usage?.input_tokens ?? Number.NaN

export const langchain: Client = {
  name: '@langchain/openai',
  checks: {
    async chat(world) {
      const answer = await real(world).invoke(question)
      expect(answer.text).toMatch(/./)
      expect(answer).toMatchObject({ usage_metadata: { output_tokens: 12 }, response_metadata: { finish_reason: 'length' } })
    },
    async stream(world) {
      const parts = await gather(await real(world).stream(question))
      expect(parts.map(({ text }) => text).join('')).toBe((await real(world).invoke(question)).text)
    },
    async 'stream-usage'(world) {
      const parts = await gather(await real(world, { streamUsage: true }).stream(question))
      const whole = promptTokens(await real(world).invoke(question))
      const usages = parts.flatMap(({ usage_metadata: usage }) => usage ?? [])
      expect(usages).toMatchObject([{ input_tokens: whole, output_tokens: 12 }])
    },
    async 'forced-tool'(world) {
      for (const tool_choice of ['any', 'weather']) {
        const model = real(world, { maxTokens: 60 }).bindTools(tools, { tool_choice })
        const { tool_calls: calls } = await model.invoke('The weather in Paris?')
        expect(calls).toMatchObject([{ name: 'weather', args: { city: expect.any(String) } }])
      }
    },
    async 'tool-turns'(world) {
      expect(await runTools(world, false)).toBe(told)
      expect(await runTools(world, true)).toBe(told)
    },
    async schema(world) {
      for (const method of ['jsonSchema', 'functionCalling'] as const) {
        const model = real(world, { maxTokens: 60 }).withStructuredOutput({ title: 'answer', ...colour }, { method })
        expect(await model.invoke('A colour?')).toEqual({ colour: expect.stringMatching(/^(red|blue)$/) })
      }
    },
    async logprobs(world) {
      const answer = await real(world, { logprobs: true, topLogprobs: 3 }).invoke(question)
      expect(answer.response_metadata).toMatchObject({ logprobs: { content: Array(12).fill({ logprob: expect.any(Number) }) } })
    },
    async reasoning(world) {
      const whole = await scripted(world).invoke('Think.')
      expect([whole.text, whole.additional_kwargs.reasoning_content]).toEqual(['Done.', 'Hm.'])
      const parts = await gather(await scripted(world).stream('Think.'))
      expect(parts.map(({ text }) => text).join('')).toBe('Done.')
      expect(parts.map(({ additional_kwargs: more }) => more.reasoning_content ?? '').join('')).toBe('Hm.')
    },
    async images(world) {
      const picture = { type: 'image_url', image_url: { url: `data:image/png;base64,${pixel}` } }
      const content: MessageContent = [{ type: 'text', text: 'What is it?' }, picture]
      expect((await scripted(world).invoke([new HumanMessage({ content })])).text).toBe('1 picture')
    },
    async completion(world) {
      const model = new OpenAI({ model: world.model, temperature: 0, maxTokens: 12, ...at(world.real, 'none') })
      const text = await model.invoke(question)
      expect(text).toMatch(/\w/)
      expect((await gather(await model.stream(question))).join('')).toBe(text)
    },
    async responses(world) {
      const model = real(world, { useResponsesApi: true, maxTokens: 16 })
      const whole = await model.invoke(question)
      const parts = await gather(await model.stream(question))
      expect(parts.map(({ text }) => text).join('')).toBe(whole.text)
      const id = String(whole.response_metadata.id)
      const second = await model.invoke('And Spain?', { previous_response_id: id })
      const first = await model.invoke('And Spain?')
      expect(promptTokens(second)).toBeGreaterThan(promptTokens(first))
    },
    async embeddings(world) {
      // By default the client below it asks for base64.
      for (const form of [{}, { encodingFormat: 'float' as const }]) {
        const model = new OpenAIEmbeddings({ model: world.embeddingModel, ...form, ...at(world.real, 'none') })
        expect(areVectorsOfTexts(await model.embedDocuments(texts))).toBe(true)
      }
    },
    models: '',
    tokens: 'It counts by itself, with OpenAI’s vocabulary',
    async cancel(world) {
      const leaving = new AbortController()
      const model = real(world, { maxTokens: -1 })
      const stream = await model.stream(endless, { signal: leaving.signal })
      await expectFreed(world.real, () => leaving.abort())
      await expect(gather(stream)).rejects.toThrow()
      const gone = new AbortController()
      const failed = expect(model.invoke(endless, { signal: gone.signal })).rejects.toThrow()
      await expectFreed(world.real, () => gone.abort())
      await failed
    },
    async 'unknown-model'(world) {
      const asked = scripted(world, { model: 'nobody' }).invoke('Hi')
      await expect(asked).rejects.toMatchObject({ status: 404, lc_error_code: 'MODEL_NOT_FOUND' })
    },
    async 'wrong-body'(world) {
      const asked = scripted(world, { temperature: 9 }).invoke('Hi')
      await expect(asked).rejects.toMatchObject({ status: 400, param: 'temperature' })
    },
    async 'wrong-key'(world) {
      const asked = scripted(world, {}, 'sk-wrong').invoke('Hi')
      await expect(asked).rejects.toMatchObject({ status: 401, lc_error_code: 'MODEL_AUTHENTICATION' })
    },
    async 'broken-stream'(world) {
      const read = async () => gather(await scripted(world).stream('Break.'))
      await expect(read()).rejects.toThrow('The model broke off.')
    },
  },
}
