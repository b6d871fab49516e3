import type { Message, ToolCall } from 'ollama'
import { expect } from 'vitest'
import { ollamaClient } from '../ollama-client.ts'
import type { Client } from './features.ts'
import { areVectorsOfTexts, colour, endless, pixel, question, texts, told, weather, weatherIn } from './questions.ts'
import { expectFreed, type World } from './world.ts'

const real = ({ real: url }: World) => ollamaClient({ url })
const scripted = ({ scripted: url, key }: World, token = key) => ollamaClient({ url }, token)

const ask = (content: string) => [{ role: 'user', content }]
const options = { temperature: 0, num_predict: 12 }
const tools = [{ type: 'function', function: { ...weather, parameters: { ...weather.parameters, required: ['city'] } } }]

/** Asks with the tools, runs what is called, and sends the results back, until there is an answer. */
async function runTools(world: World, stream: boolean): Promise<string> {
  const messages: Message[] = ask('Oslo and Rome?')
  for (;;) {
    const asked = { model: 'scripted', messages, tools }
    const parts = stream ? scripted(world).chat({ ...asked, stream: true }) : [scripted(world).chat(asked)]
    const calls: ToolCall[] = []
    let [content, thinking] = ['', '']
    for await (const { message } of await parts) {
      content += message.content
      thinking += message.thinking ?? ''
      calls.push(...(message.tool_calls ?? []))
    }
    if (calls.length === 0) return content
    messages.push({ role: 'assistant', content, thinking, tool_calls: calls })
    for (const { function: called } of calls)
      messages.push({ role: 'tool', content: weatherIn(String(called.arguments.city)), tool_name: called.name })
  }
}

export const ollama: Client = {
  name: 'ollama',
  checks: {
    async chat(world) {
      const answer = await real(world).chat({ model: world.model, messages: ask(question), options })
      expect(answer).toMatchObject({ message: { content: expect.stringMatching(/./) }, done_reason: 'length', eval_count: 12 })
    },
    async stream(world) {
      const asked = { model: world.model, messages: ask(question), options }
      const whole = await real(world).chat(asked)
      let streamed = ''
      for await (const { message } of await real(world).chat({ ...asked, stream: true })) streamed += message.content
      expect(streamed).toBe(whole.message.content)
    },
    async 'stream-usage'(world) {
      const asked = { model: world.model, messages: ask(question), options }
      const whole = await real(world).chat(asked)
      const counts: unknown[] = []
      for await (const part of await real(world).chat({ ...asked, stream: true }))
        if (part.done) counts.push(part.prompt_eval_count, part.eval_count)
      expect(counts).toEqual([whole.prompt_eval_count, 12])
    },
    'forced-tool': '',
    async 'tool-turns'(world) {
      expect(await runTools(world, false)).toBe(told)
      expect(await runTools(world, true)).toBe(told)
    },
    async schema(world) {
      const asked = { model: world.model, messages: ask('A colour?'), format: colour, options: { temperature: 0 } }
      const { message } = await real(world).chat(asked)
      expect(JSON.parse(message.content)).toEqual({ colour: expect.stringMatching(/^(red|blue)$/) })
    },
    async logprobs(world) {
      const asked = { model: world.model, messages: ask(question), options, logprobs: true, top_logprobs: 3 }
      const { logprobs = [], message } = await real(world).chat(asked)
      expect(logprobs.map(({ token }) => token).join('')).toBe(message.content)
      for (const { logprob, top_logprobs: top } of logprobs) expect(top?.[0]?.logprob).toBe(logprob)
    },
    async reasoning(world) {
      const asked = { model: 'scripted', messages: ask('Think.'), think: true }
      expect((await scripted(world).chat(asked)).message).toMatchObject({ content: 'Done.', thinking: 'Hm.' })
      const parts: unknown[] = []
      for await (const { message } of await scripted(world).chat({ ...asked, stream: true }))
        parts.push([message.thinking ?? '', message.content])
      expect(parts.slice(0, 3)).toEqual([
        ['Hm.', ''],
        ['', 'Done'],
        ['', '.'],
      ])
    },
    async images(world) {
      const messages = [{ role: 'user', content: 'What is it?', images: [pixel] }]
      expect((await scripted(world).chat({ model: 'scripted', messages })).message.content).toBe('1 picture')
    },
    async completion(world) {
      const asked = { model: world.model, prompt: question, raw: true, options }
      const whole = await real(world).generate(asked)
      expect(whole.response).toMatch(/\w/)
      let streamed = ''
      for await (const { response } of await real(world).generate({ ...asked, stream: true })) streamed += response
      expect(streamed).toBe(whole.response)
    },
    responses: '',
    async embeddings(world) {
      const { embeddings } = await real(world).embed({ model: world.embeddingModel, input: texts })
      expect(areVectorsOfTexts(embeddings)).toBe(true)
    },
    async models(world) {
      const { models } = await real(world).list()
      expect(models.map(({ name }) => name)).toContain(`${world.model}:latest`)
      expect((await real(world).show({ model: world.model })).details).toMatchObject({ format: 'gguf' })
      expect((await real(world).ps()).models).toMatchObject([{ model: `${world.model}:latest` }])
    },
    tokens: '',
    async cancel(world) {
      const asked = { model: world.model, messages: ask(endless) }
      const stream = await real(world).chat({ ...asked, stream: true })
      await expectFreed(world.real, () => stream.abort())
    },
    async 'unknown-model'(world) {
      const asked = scripted(world).chat({ model: 'nobody', messages: ask('Hi') })
      await expect(asked).rejects.toMatchObject({
        name: 'ResponseError',
        status_code: 404,
        error: expect.stringMatching(/nobody/),
      })
    },
    async 'wrong-body'(world) {
      const asked = scripted(world).chat({ model: 'scripted', messages: ask('Hi'), options: { temperature: 9 } })
      await expect(asked).rejects.toMatchObject({
        name: 'ResponseError',
        status_code: 400,
        error: expect.stringMatching(/temperature/),
      })
    },
    async 'wrong-key'(world) {
      const asked = scripted(world, 'sk-wrong').chat({ model: 'scripted', messages: ask('Hi') })
      await expect(asked).rejects.toMatchObject({ name: 'ResponseError', status_code: 401 })
    },
    async 'broken-stream'(world) {
      const stream = await scripted(world).chat({ model: 'scripted', messages: ask('Break.'), stream: true })
      const read = async () => {
        for await (const _part of stream);
      }
      await expect(read()).rejects.toThrow('The model broke off.')
    },
  },
}
