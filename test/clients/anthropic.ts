import Anthropic from '@anthropic-ai/sdk'
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema'
import { jsonSchemaOutputFormat } from '@anthropic-ai/sdk/helpers/json-schema'
import { expect } from 'vitest'
import { anthropicClient } from '../anthropic-client.ts'
import type { Client } from './features.ts'
import { brief, city, colour, endless, pixel, question, told, weather, weatherIn } from './questions.ts'
import { expectFreed, type World } from './world.ts'

const real = ({ real: url }: World) => anthropicClient({ url })
const scripted = ({ scripted: url, key }: World, apiKey = key) => anthropicClient({ url }, { apiKey })

const ask = (content: string) => [{ role: 'user' as const, content }]
const hello = { model: 'scripted', max_tokens: 50, messages: ask('Hi') }

export const anthropic: Client = {
  name: '@anthropic-ai/sdk',
  checks: {
    async chat(world) {
      const answer = await real(world).messages.create({ model: world.model, messages: ask(question), ...brief })
      expect(answer).toMatchObject({
        content: [{ type: 'text', text: expect.stringMatching(/./) }],
        stop_reason: 'max_tokens',
        usage: { output_tokens: 12 },
      })
    },
    async stream(world) {
      const asked = { model: world.model, messages: ask(question), ...brief }
      const whole = await real(world).messages.create(asked)
      expect((await real(world).messages.stream(asked).finalMessage()).content).toEqual(whole.content)
    },
    async 'stream-usage'(world) {
      const asked = { model: world.model, messages: ask(question), ...brief }
      const { usage } = await real(world).messages.stream(asked).finalMessage()
      const { input_tokens: count } = await real(world).messages.countTokens({ model: world.model, messages: ask(question) })
      expect([usage.input_tokens + (usage.cache_read_input_tokens ?? 0), usage.output_tokens]).toEqual([count, 12])
    },
    async 'forced-tool'(world) {
      const { parameters: input_schema, ...names } = weather
      const tools = [{ ...names, input_schema: { ...input_schema, required: ['city'] } }]
      const asked = { model: world.model, messages: ask('The weather in Paris?'), tools, temperature: 0, max_tokens: 60 }
      for (const tool_choice of [{ type: 'any' as const }, { type: 'tool' as const, name: 'weather' }]) {
        const { content, stop_reason } = await real(world).messages.create({ ...asked, tool_choice })
        expect([content, stop_reason]).toMatchObject([
          [{ type: 'tool_use', name: 'weather', input: { city: expect.any(String) } }],
          'tool_use',
        ])
      }
    },
    async 'tool-turns'(world) {
      const tool = betaTool({
        name: 'weather',
        description: weather.description,
        inputSchema: city,
        run: ({ city: name }) => weatherIn(String(name)),
      })
      const asked = { ...hello, messages: ask('Oslo and Rome?'), tools: [tool] }
      const whole = await scripted(world).beta.messages.toolRunner(asked)
      expect(whole.content.at(-1)).toMatchObject({ type: 'text', text: told })
      let streamed: Anthropic.Beta.BetaMessage | undefined
      for await (const stream of scripted(world).beta.messages.toolRunner({ ...asked, stream: true }))
        streamed = await stream.finalMessage()
      expect(streamed?.content).toEqual(whole.content)
    },
    async schema(world) {
      const asked = { model: world.model, messages: ask('A colour?'), temperature: 0, max_tokens: 60 }
      const { parsed_output } = await real(world).messages.parse({
        ...asked,
        output_config: { format: jsonSchemaOutputFormat(colour) },
      })
      expect(parsed_output).toEqual({ colour: expect.stringMatching(/^(red|blue)$/) })
    },
    logprobs: '',
    async reasoning(world) {
      const asked = { ...hello, messages: ask('Think.') }
      const whole = await scripted(world).messages.create(asked)
      expect(whole.content).toMatchObject([
        { type: 'thinking', thinking: 'Hm.' },
        { type: 'text', text: 'Done.' },
      ])
      expect((await scripted(world).messages.stream(asked).finalMessage()).content).toEqual(whole.content)
    },
    async images(world) {
      const source = { type: 'base64' as const, media_type: 'image/png' as const, data: pixel }
      const content = [
        { type: 'image' as const, source },
        { type: 'text' as const, text: 'What is it?' },
      ]
      const answer = await scripted(world).messages.create({ ...hello, messages: [{ role: 'user', content }] })
      expect(answer.content).toMatchObject([{ text: '1 picture' }])
    },
    completion: 'Anthropic’s old completions are not offered',
    responses: '',
    embeddings: '',
    async models(world) {
      const names: string[] = []
      for await (const { id } of real(world).models.list()) names.push(id)
      expect(names).toContain(world.model)
      expect(await real(world).models.retrieve(world.model)).toMatchObject({ id: world.model, type: 'model' })
    },
    async tokens(world) {
      const asked = { model: world.model, system: 'Be brief.', messages: ask(question) }
      const { input_tokens: count } = await real(world).messages.countTokens(asked)
      const { usage } = await real(world).messages.create({ ...asked, ...brief })
      expect(usage.input_tokens + (usage.cache_read_input_tokens ?? 0)).toBe(count)
    },
    async cancel(world) {
      const asked = { model: world.model, messages: ask(endless), max_tokens: 1900 }
      const stream = await real(world).messages.create({ ...asked, stream: true })
      await expectFreed(world.real, () => stream.controller.abort())
      const leaving = new AbortController()
      const whole = real(world).messages.create(asked, { signal: leaving.signal })
      const failed = expect(whole).rejects.toThrow(Anthropic.APIUserAbortError)
      await expectFreed(world.real, () => leaving.abort())
      await failed
    },
    async 'unknown-model'(world) {
      const asked = scripted(world).messages.create({ ...hello, model: 'nobody' })
      await expect(asked).rejects.toThrow(Anthropic.NotFoundError)
      await expect(asked).rejects.toMatchObject({ type: 'not_found_error', requestID: expect.any(String) })
    },
    async 'wrong-body'(world) {
      const asked = scripted(world).messages.create({ ...hello, max_tokens: -1 })
      await expect(asked).rejects.toThrow(Anthropic.BadRequestError)
      await expect(asked).rejects.toMatchObject({ message: expect.stringContaining('max_tokens') })
    },
    async 'wrong-key'(world) {
      await expect(scripted(world, 'sk-wrong').messages.create(hello)).rejects.toThrow(Anthropic.AuthenticationError)
    },
    async 'broken-stream'(world) {
      const stream = scripted(world).messages.stream({ ...hello, messages: ask('Break.') })
      await expect(stream.finalMessage()).rejects.toThrow('The model broke off.')
    },
  },
}
