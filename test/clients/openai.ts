import OpenAI from 'openai'
import { expect } from 'vitest'
import { openaiClient } from '../openai-client.ts'
import type { Client } from './features.ts'
import { areVectorsOfTexts, brief, colour, endless, pixel, question, texts, told, weather, weatherIn } from './questions.ts'
import { expectFreed, type World } from './world.ts'

const real = ({ real: url }: World) => openaiClient({ url })
const scripted = ({ scripted: url, key }: World, apiKey = key) => openaiClient({ url }, { apiKey })

const ask = (content: string) => [{ role: 'user' as const, content }]
const tools = [{ type: 'function' as const, function: weather }]

export const openai: Client = {
  name: 'openai',
  checks: {
    async chat(world) {
      const answer = await real(world).chat.completions.create({ model: world.model, messages: ask(question), ...brief })
      expect(answer.choices[0]).toMatchObject({ message: { content: expect.stringMatching(/./) }, finish_reason: 'length' })
      expect(answer.usage).toMatchObject({ completion_tokens: 12 })
    },
    async stream(world) {
      const asked = { model: world.model, messages: ask(question), ...brief }
      const whole = await real(world).chat.completions.create(asked)
      const stream = real(world).chat.completions.stream(asked)
      expect(await stream.finalContent()).toBe(whole.choices[0]?.message.content)
    },
    async 'stream-usage'(world) {
      const asked = { model: world.model, messages: ask(question), ...brief }
      const whole = await real(world).chat.completions.create(asked)
      const stream = real(world).chat.completions.stream({ ...asked, stream_options: { include_usage: true } })
      const { prompt_tokens, completion_tokens } = await stream.totalUsage()
      expect({ prompt_tokens, completion_tokens }).toEqual({ prompt_tokens: whole.usage?.prompt_tokens, completion_tokens: 12 })
    },
    async 'forced-tool'(world) {
      const asked = { model: world.model, messages: ask('The weather in Paris?'), tools, temperature: 0, max_tokens: 60 }
      for (const tool_choice of ['required', { type: 'function' as const, function: { name: 'weather' } }] as const) {
        const { choices } = await real(world).chat.completions.create({ ...asked, tool_choice })
        const call = choices[0]?.message.tool_calls?.[0]
        expect(call).toMatchObject({ type: 'function', function: { name: 'weather' } })
        if (call?.type === 'function') expect(JSON.parse(call.function.arguments)).toEqual({ city: expect.any(String) })
      }
    },
    async 'tool-turns'(world) {
      const parse = (written: string): { city: string } => JSON.parse(written)
      const run = ({ city: name }: { city: string }) => weatherIn(name)
      const runnable = { type: 'function' as const, function: { ...weather, parse, function: run } }
      const asked = { model: 'scripted', messages: ask('Oslo and Rome?'), tools: [runnable] }
      const { completions } = scripted(world).chat
      expect(await completions.runTools({ ...asked, stream: false }).finalContent()).toBe(told)
      expect(await completions.runTools({ ...asked, stream: true }).finalContent()).toBe(told)
    },
    async schema(world) {
      const response_format = { type: 'json_schema' as const, json_schema: { name: 'answer', strict: true, schema: colour } }
      const asked = { model: world.model, messages: ask('A colour?'), temperature: 0, response_format }
      const { choices } = await real(world).chat.completions.parse(asked)
      expect(choices[0]?.message.parsed).toEqual({ colour: expect.stringMatching(/^(red|blue)$/) })
    },
    async logprobs(world) {
      const asked = { model: world.model, messages: ask(question), ...brief, logprobs: true, top_logprobs: 3 }
      const { choices } = await real(world).chat.completions.create(asked)
      const tokens = choices[0]?.logprobs?.content ?? []
      expect(tokens).toHaveLength(12)
      expect(tokens.map(({ token }) => token).join('')).toBe(choices[0]?.message.content)
      for (const { logprob, top_logprobs: top } of tokens) expect(top[0]?.logprob).toBe(logprob)
    },
    async reasoning(world) {
      const asked = { model: 'scripted', messages: ask('Think.') }
      const { choices } = await scripted(world).chat.completions.create(asked)
      expect(choices[0]?.message).toMatchObject({ content: 'Done.', reasoning_content: 'Hm.' })
      const deltas: unknown[] = []
      for await (const chunk of await scripted(world).chat.completions.create({ ...asked, stream: true }))
        deltas.push(chunk.choices[0]?.delta)
      expect(deltas).toContainEqual(expect.objectContaining({ reasoning_content: 'Hm.' }))
    },
    async images(world) {
      const picture = { type: 'image_url' as const, image_url: { url: `data:image/png;base64,${pixel}` } }
      const content = [{ type: 'text' as const, text: 'What is it?' }, picture]
      const { choices } = await scripted(world).chat.completions.create({
        model: 'scripted',
        messages: [{ role: 'user', content }],
      })
      expect(choices[0]?.message.content).toBe('1 picture')
    },
    async completion(world) {
      const asked = { model: world.model, prompt: question, ...brief }
      const { choices } = await real(world).completions.create(asked)
      expect(choices[0]?.text).toMatch(/\w/)
      let streamed = ''
      for await (const chunk of await real(world).completions.create({ ...asked, stream: true }))
        streamed += chunk.choices[0]?.text
      expect(streamed).toBe(choices[0]?.text)
    },
    async responses(world) {
      const client = real(world).responses
      const asked = { model: world.model, input: question, temperature: 0, max_output_tokens: 16 }
      const first = await client.create(asked)
      expect(first).toMatchObject({ status: 'incomplete', usage: { output_tokens: 16 } })
      expect((await client.stream(asked).finalResponse()).output_text).toBe(first.output_text)
      const second = await client.create({ ...asked, previous_response_id: first.id })
      expect(second.usage?.input_tokens).toBeGreaterThan(first.usage?.input_tokens ?? Number.POSITIVE_INFINITY)
    },
    async embeddings(world) {
      const asked = { model: world.embeddingModel, input: texts }
      const usual = await real(world).embeddings.create(asked)
      const floats = await real(world).embeddings.create({ ...asked, encoding_format: 'float' })
      for (const { data } of [usual, floats]) expect(areVectorsOfTexts(data.map(({ embedding }) => embedding))).toBe(true)
      expect(usual.usage.total_tokens).toBeGreaterThan(0)
    },
    async models(world) {
      const names: string[] = []
      for await (const { id } of real(world).models.list()) names.push(id)
      expect(names).toContain(world.model)
      expect(await real(world).models.retrieve(world.model)).toMatchObject({ id: world.model, object: 'model' })
    },
    async tokens(world) {
      const { input_tokens: count } = await real(world).responses.inputTokens.count({ model: world.model, input: question })
      const answer = await real(world).chat.completions.create({ model: world.model, messages: ask(question), ...brief })
      expect(count).toBe(answer.usage?.prompt_tokens)
    },
    async cancel(world) {
      const asked = { model: world.model, messages: ask(endless) }
      const left = await real(world).chat.completions.create({ ...asked, stream: true })
      await expectFreed(world.real, () => left.controller.abort())
      const leaving = new AbortController()
      const whole = real(world).chat.completions.create(asked, { signal: leaving.signal })
      const failed = expect(whole).rejects.toThrow(OpenAI.APIUserAbortError)
      await expectFreed(world.real, () => leaving.abort())
      await failed
    },
    async 'unknown-model'(world) {
      const asked = scripted(world).chat.completions.create({ model: 'nobody', messages: ask('Hi') })
      await expect(asked).rejects.toThrow(OpenAI.NotFoundError)
      await expect(asked).rejects.toMatchObject({ status: 404, code: 'model_not_found', param: 'model' })
    },
    async 'wrong-body'(world) {
      const asked = scripted(world).chat.completions.create({ model: 'scripted', messages: ask('Hi'), temperature: 9 })
      await expect(asked).rejects.toThrow(OpenAI.BadRequestError)
      await expect(asked).rejects.toMatchObject({ param: 'temperature', requestID: expect.any(String) })
    },
    async 'wrong-key'(world) {
      const asked = scripted(world, 'sk-wrong').chat.completions.create({ model: 'scripted', messages: ask('Hi') })
      await expect(asked).rejects.toThrow(OpenAI.AuthenticationError)
    },
    async 'broken-stream'(world) {
      const stream = scripted(world).chat.completions.stream({ model: 'scripted', messages: ask('Break.') })
      await expect(stream.finalContent()).rejects.toThrow('The model broke off.')
    },
  },
}
