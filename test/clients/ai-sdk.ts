import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { APICallError, embedMany, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai'
import { expect } from 'vitest'
import type { Client } from './features.ts'
import { areVectorsOfTexts, city, colour, endless, pixel, question, texts, told, weather, weatherIn } from './questions.ts'
import { expectFreed, type World } from './world.ts'

const providerOf = (url: string, apiKey: string) =>
  createOpenAICompatible({
    name: 'simpleia',
    baseURL: `${url}/v1`,
    apiKey,
    includeUsage: true,
    supportsStructuredOutputs: true,
  })
const real = (world: World) => providerOf(world.real, 'none')
const scripted = (world: World, apiKey = world.key) => providerOf(world.scripted, apiKey)('scripted')

// It warns of what a continuation cannot have, though nobody asked for it.
globalThis.AI_SDK_LOG_WARNINGS = false

const brief = { temperature: 0, maxOutputTokens: 12, maxRetries: 0 }
const tools = {
  weather: tool({
    description: weather.description,
    inputSchema: jsonSchema<{ city: string }>(city),
    execute: async ({ city: name }) => weatherIn(name),
  }),
}

export const aiSdk: Client = {
  name: '@ai-sdk/openai-compatible',
  checks: {
    async chat(world) {
      const answer = await generateText({ model: real(world)(world.model), prompt: question, ...brief })
      expect(answer).toMatchObject({ text: expect.stringMatching(/./), finishReason: 'length', usage: { outputTokens: 12 } })
    },
    async stream(world) {
      const asked = { model: real(world)(world.model), prompt: question, ...brief }
      expect(await streamText(asked).text).toBe((await generateText(asked)).text)
    },
    async 'stream-usage'(world) {
      const asked = { model: real(world)(world.model), prompt: question, ...brief }
      const { inputTokens, outputTokens } = await streamText(asked).usage
      expect({ inputTokens, outputTokens }).toEqual({
        inputTokens: (await generateText(asked)).usage.inputTokens,
        outputTokens: 12,
      })
    },
    async 'forced-tool'(world) {
      const asked = { model: real(world)(world.model), prompt: 'The weather in Paris?', ...brief, maxOutputTokens: 60, tools }
      for (const toolChoice of ['required', { type: 'tool', toolName: 'weather' }] as const) {
        const { toolCalls, finishReason } = await generateText({ ...asked, toolChoice })
        expect(toolCalls).toMatchObject([{ toolName: 'weather', input: { city: expect.any(String) } }])
        expect(finishReason).toBe('tool-calls')
      }
    },
    async 'tool-turns'(world) {
      const asked = { model: scripted(world), prompt: 'Oslo and Rome?', tools, stopWhen: stepCountIs(3), maxRetries: 0 }
      expect((await generateText(asked)).text).toBe(told)
      expect(await streamText(asked).text).toBe(told)
    },
    async schema(world) {
      const asked = { model: real(world)(world.model), prompt: 'A colour?', ...brief, maxOutputTokens: 60 }
      const { output } = await generateText({ ...asked, output: Output.object({ schema: jsonSchema(colour) }) })
      expect(output).toEqual({ colour: expect.stringMatching(/^(red|blue)$/) })
    },
    logprobs: '',
    async reasoning(world) {
      const asked = { model: scripted(world), prompt: 'Think.', maxRetries: 0 }
      expect(await generateText(asked)).toMatchObject({ text: 'Done.', reasoningText: 'Hm.' })
      const stream = streamText(asked)
      expect([await stream.text, await stream.reasoningText]).toEqual(['Done.', 'Hm.'])
    },
    async images(world) {
      const content = [
        { type: 'text' as const, text: 'What is it?' },
        { type: 'file' as const, data: pixel, mediaType: 'image/png' },
      ]
      const { text } = await generateText({ model: scripted(world), messages: [{ role: 'user', content }], maxRetries: 0 })
      expect(text).toBe('1 picture')
    },
    async completion(world) {
      const asked = { model: real(world).completionModel(world.model), prompt: question, ...brief }
      const { text } = await generateText(asked)
      expect(text).toMatch(/\w/)
      expect(await streamText(asked).text).toBe(text)
    },
    responses: '',
    async embeddings(world) {
      const model = real(world).embeddingModel(world.embeddingModel)
      const { embeddings, usage } = await embedMany({ model, values: texts, maxRetries: 0 })
      expect(areVectorsOfTexts(embeddings)).toBe(true)
      expect(usage.tokens).toBeGreaterThan(0)
    },
    models: '',
    tokens: '',
    async cancel(world) {
      const asked = { model: real(world)(world.model), prompt: endless, maxRetries: 0 }
      for (const ask of [streamOf, generateText]) {
        const leaving = new AbortController()
        const answer = Promise.resolve(ask({ ...asked, abortSignal: leaving.signal })).catch(() => undefined)
        await expectFreed(world.real, () => leaving.abort())
        await answer
      }
    },
    async 'unknown-model'(world) {
      const model = providerOf(world.scripted, world.key)('nobody')
      const asked = generateText({ model, prompt: 'Hi', maxRetries: 0 })
      await expect(asked).rejects.toThrow(APICallError)
      await expect(asked).rejects.toMatchObject({ statusCode: 404, message: expect.stringContaining('nobody') })
    },
    async 'wrong-body'(world) {
      const asked = generateText({ model: scripted(world), prompt: 'Hi', temperature: 9, maxRetries: 0 })
      await expect(asked).rejects.toThrow(APICallError)
      await expect(asked).rejects.toMatchObject({ statusCode: 400, message: expect.stringContaining('temperature') })
    },
    async 'wrong-key'(world) {
      const asked = generateText({ model: scripted(world, 'sk-wrong'), prompt: 'Hi', maxRetries: 0 })
      await expect(asked).rejects.toThrow(APICallError)
      await expect(asked).rejects.toMatchObject({ statusCode: 401 })
    },
    async 'broken-stream'(world) {
      const failures: unknown[] = []
      const stream = streamText({
        model: scripted(world),
        prompt: 'Break.',
        maxRetries: 0,
        onError: ({ error }) => void failures.push(error),
      })
      await stream.consumeStream()
      expect(JSON.stringify(failures) + String(failures)).toContain('The model broke off.')
    },
  },
}

/** Begins to read a stream. */
const streamOf = (asked: Parameters<typeof streamText>[0]) => streamText(asked).consumeStream()
