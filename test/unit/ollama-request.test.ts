import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { GenerateRequest } from '../../src/engine/provider.ts'
import { postApi } from '../ollama-client.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

const host = createScriptedHost(() => [{ type: 'choice-end', index: 0, reason: 'stop' }, generationEnd()])
let server: TestServer
beforeAll(async () => {
  server = await startServer({ host })
})
afterAll(() => server[Symbol.asyncDispose]())

type Failure = Readonly<{ status: number; error: string }>

/** What the model is asked when this is sent, or the error. */
async function ask(path: string, body: object): Promise<GenerateRequest | Failure | undefined> {
  const response = await postApi(server, path, { model: 'scripted', stream: false, ...body })
  if (response.status === 200) return host.asked.at(-1)
  return { status: response.status, ...(await bodyOf<{ error: string }>(response)) }
}

const chat = (...messages: object[]) => ask('/chat', { messages })
const generate = (body: object) => ask('/generate', { prompt: 'x', ...body })
const options = (given: object) => generate({ options: given })
const user = { role: 'user', content: 'Hola' }
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB'

describe('a prompt', () => {
  test('is what a user says, after the system text', async () => {
    expect(await generate({ system: 'Be brief.' })).toMatchObject({
      prompt: {
        type: 'chat',
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'x' },
        ],
      },
      choices: 1,
      maxTokens: undefined,
    })
  })

  test('is continued as it is when it is raw', async () => {
    expect(await generate({ raw: true })).toMatchObject({ prompt: { type: 'text', text: 'x' } })
    for (const [field, value] of [
      ['system', 'Be brief.'],
      ['images', [png]],
      ['think', true],
    ] as const)
      expect(await generate({ raw: true, [field]: value })).toMatchObject({ status: 400, error: expect.stringContaining(field) })
  })

  test.each([
    ['suffix', 'end'],
    ['template', '{{ .Prompt }}'],
    ['context', [1, 2, 3]],
    ['_debug_render_only', true],
    ['width', 100],
    ['temperature', 1],
  ])('with a %s is refused by the name of the field', async (field, value) => {
    expect(await generate({ [field]: value })).toEqual({ status: 400, error: expect.stringContaining(`"${field}"`) })
  })

  test('may have the empty fields and the nulls that clients send', async () => {
    const empty = {
      suffix: '',
      template: '',
      context: [],
      system: '',
      images: [],
      format: '',
      raw: false,
      think: null,
      keep_alive: null,
    }
    expect(await generate({ ...empty, options: { seed: null, stop: null } })).toMatchObject({
      prompt: { messages: [{ role: 'user', content: 'x' }] },
      stop: [],
    })
  })

  test('takes images in the formats that it knows', async () => {
    expect(await generate({ images: [png, '/9j/4AAQ'] })).toMatchObject({
      prompt: { messages: [{ images: [`data:image/png;base64,${png}`, 'data:image/jpeg;base64,/9j/4AAQ'] }] },
    })
    for (const wrong of ['https://example.org/a.png', `data:image/png;base64,${png}`, 'QUJD', `${png}!`])
      expect(await generate({ images: [wrong] })).toMatchObject({ status: 400, error: expect.stringContaining('"images.0"') })
  })
})

describe('options', () => {
  test('become the sampling of the request', async () => {
    const given = {
      temperature: 0.1,
      top_p: 0.2,
      top_k: 3,
      min_p: 0.4,
      seed: 5,
      num_predict: 6,
      repeat_penalty: 1.5,
      presence_penalty: 0.7,
      frequency_penalty: -0.8,
      stop: ['a', 'b'],
    }
    expect(await options(given)).toMatchObject({
      sampling: {
        temperature: 0.1,
        topP: 0.2,
        topK: 3,
        minP: 0.4,
        seed: 5,
        repeatPenalty: 1.5,
        presencePenalty: 0.7,
        frequencyPenalty: -0.8,
      },
      maxTokens: 6,
      stop: ['a', 'b'],
    })
  })

  test('that are left out are those of every other way to ask', async () => {
    const sampling = { temperature: 0.8, topP: 0.95, topK: 40, minP: 0.05, repeatPenalty: 1, seed: undefined }
    expect(await generate({})).toMatchObject({ sampling, stop: [], maxTokens: undefined })
    expect(await options({ seed: -1, num_predict: -1 })).toMatchObject({ sampling, maxTokens: undefined })
    expect(await options({ num_predict: -2 })).toMatchObject({ maxTokens: undefined })
  })

  test('of the server are accepted, as clients send them by habit', async () => {
    const habits = {
      num_ctx: 131_072,
      num_gpu: 99,
      num_thread: 4,
      num_batch: 512,
      num_keep: 4,
      main_gpu: 0,
      use_mmap: true,
      numa: false,
    }
    expect(await options(habits)).toHaveProperty('prompt')
  })

  test('that switch other samplers on are refused, and those that switch them off are not', async () => {
    const off = {
      mirostat: 0,
      mirostat_tau: 5,
      mirostat_eta: 0.1,
      tfs_z: 1,
      typical_p: 1,
      penalize_newline: false,
      vocab_only: false,
    }
    expect(await options(off)).toHaveProperty('prompt')
    for (const on of [
      { mirostat: 2 },
      { tfs_z: 0.9 },
      { typical_p: 0.7 },
      { vocab_only: true },
      { repeat_penalty: 1.1, penalize_newline: false },
    ])
      expect(await options(on)).toMatchObject({
        status: 400,
        error: expect.stringContaining(`"options.${Object.keys(on).at(-1)}"`),
      })
  })

  test('repeat_last_n switches the penalties off, or is the one length that there is', async () => {
    expect(await options({ repeat_last_n: 0, repeat_penalty: 1.2, presence_penalty: 1 })).toMatchObject({
      sampling: { repeatPenalty: 1 },
    })
    expect(await options({ repeat_last_n: 64, repeat_penalty: 1.2 })).toMatchObject({ sampling: { repeatPenalty: 1.2 } })
    expect(await options({ repeat_last_n: 256 })).toHaveProperty('prompt')
    expect(await options({ repeat_last_n: 256, repeat_penalty: 1.2 })).toMatchObject({ status: 400 })
  })

  test.each([{ num_predict: 0 }, { num_predict: -3 }, { seed: -2 }, { stop: 'x' }, { temprature: 1 }, { temperature: '1' }])(
    'such as %j are refused',
    async (wrong) => {
      expect(await options(wrong)).toEqual({ status: 400, error: expect.stringContaining(`"options.${Object.keys(wrong)[0]}"`) })
    },
  )
})

describe('format, think and keep_alive', () => {
  test('format is any JSON, or a schema', async () => {
    expect(await generate({ format: 'json' })).toMatchObject({ format: { type: 'json-object' } })
    const schema = { type: 'object', properties: { a: { type: ['string', 'null'], default: null } } }
    expect(await generate({ format: schema })).toMatchObject({ format: { type: 'json-schema', schema, field: 'format' } })
    expect(await generate({ format: 'xml' })).toMatchObject({ status: 400, error: expect.stringContaining('"format"') })
  })

  test.each([
    [true, 'medium'],
    [false, 'none'],
    ['low', 'low'],
    ['max', 'high'],
  ])('think: %j is the effort %s', async (think, reasoning) => {
    expect(await ask('/chat', { messages: [user], think })).toMatchObject({ prompt: { reasoning } })
  })

  test('think may be left out, and must be known', async () => {
    expect(await chat(user)).not.toHaveProperty('prompt.reasoning')
    expect(await generate({ think: 'hard' })).toMatchObject({ status: 400, error: expect.stringContaining('"think"') })
  })

  test.each([0, -1, 300, 1.5, '5m', '1h30m', '-1m', '0', '0s', '1.5h'])('keep_alive: %j is a duration', async (duration) => {
    expect(await generate({ keep_alive: duration })).toHaveProperty('prompt')
  })

  test.each(['', '5', 'm', 'for ever', '5 m', '1h-1m'])('keep_alive: %j is none', async (duration) => {
    expect(await generate({ keep_alive: duration })).toMatchObject({
      status: 400,
      error: expect.stringContaining('"keep_alive"'),
    })
  })
})

describe('messages', () => {
  const add = { function: { name: 'add', arguments: { a: 1 } } }
  const now = { function: { name: 'now', arguments: {} } }
  function results(asked: Awaited<ReturnType<typeof ask>>): string[] {
    if (asked === undefined || !('prompt' in asked) || asked.prompt.type !== 'chat') return []
    return asked.prompt.messages.flatMap((message) => (message.role === 'tool' ? [message.toolCallId] : []))
  }

  test('have their role in any case, and an answer keeps its thoughts', async () => {
    const thoughtful = { role: 'Assistant', content: 'Yes.', thinking: 'Hm.' }
    expect(
      await chat({ role: 'system', content: 'Be brief.' }, user, thoughtful, { role: 'User', content: 'Why?' }),
    ).toMatchObject({
      prompt: {
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'Hola' },
          { role: 'assistant', content: 'Yes.', reasoning: 'Hm.' },
          { role: 'user', content: 'Why?' },
        ],
      },
    })
  })

  test('of tools are matched to calls by id, else by name, else in order', async () => {
    const calls = { role: 'assistant', content: '', tool_calls: [add, now, add] }
    const tool = (fields: object) => ({ role: 'tool', content: '', ...fields })
    expect(results(await chat(user, calls, tool({ tool_name: 'now' }), tool({}), tool({ name: 'add' })))).toEqual([
      'call_1_1',
      'call_1_0',
      'call_1_2',
    ])
    const known = {
      role: 'assistant',
      tool_calls: [
        { id: 'one', type: 'function', ...add },
        { id: 'two', ...add },
      ],
    }
    expect(
      results(await chat(user, known, tool({ tool_call_id: 'two' }), tool({ tool_call_id: 'lost', tool_name: 'add' }))),
    ).toEqual(['two', 'one'])
  })

  test('of tools that nobody called are refused with what could be meant', async () => {
    const tool = { role: 'tool', content: '1', tool_name: 'minus' }
    expect(await chat(user, { role: 'assistant', tool_calls: [add] }, tool)).toMatchObject({
      status: 400,
      error: expect.stringMatching(/"messages\.2\.tool_name" must be the result of "add"/),
    })
    expect(await chat(user, { role: 'tool', content: '1' })).toMatchObject({
      status: 400,
      error: expect.stringContaining('"messages.1"'),
    })
    expect(
      await chat(user, { role: 'assistant', tool_calls: [add] }, { ...tool, tool_name: 'add' }, { ...tool, tool_name: 'add' }),
    ).toMatchObject({
      status: 400,
    })
  })

  test.each([
    [{ role: 'system', content: '', images: [png] }, 'images'],
    [{ role: 'user', content: '', tool_calls: [add] }, 'tool_calls'],
    [{ role: 'user', content: '', thinking: 'x' }, 'thinking'],
    [{ role: 'robot', content: '' }, 'role'],
    [{ role: 'user', content: '', audio: 'x' }, 'audio'],
    [{ role: 'assistant', tool_calls: [{ function: { name: 'add', arguments: '{}' } }] }, 'arguments'],
  ])('with what their role has not are refused: %j', async (message, field) => {
    expect(await chat(message)).toMatchObject({ status: 400, error: expect.stringContaining(field) })
  })

  test('tools may lack their parameters', async () => {
    const tools = [{ type: 'function', function: { name: 'now' } }]
    expect(await ask('/chat', { messages: [user], tools })).toMatchObject({
      prompt: { tools: { tools: [{ name: 'now', parameters: { type: 'object', properties: {} } }] } },
    })
    expect(await ask('/chat', { messages: [user], tools: [] })).not.toHaveProperty('prompt.tools')
  })
})
