import fastCheck from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type CallSyntax, detectChatFormat, genericCalls } from '../../src/engine/chat-format.ts'
import { type AnswerReaderOptions, createAnswerReader } from '../../src/engine/chat-format-reader.ts'
import type { TokenLogprob, Tool } from '../../src/engine/provider.ts'
import { templates } from '../chat-templates.ts'

const weather: Tool = {
  name: 'get_weather',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' }, days: { type: 'integer' } },
    required: ['city'],
  },
}
const tools: readonly Tool[] = [weather, { name: 'get', parameters: { type: 'object', properties: {} } }]

const syntaxOf = (name: keyof typeof templates) => detectChatFormat(templates[name]).calls
const hermes = syntaxOf('qwen25')
const think = { open: '<think>', close: '</think>', skipped: '' }

type Seen = { text: string; reasoning: string; calls: Array<{ name: string; arguments: string }> }

/** What comes of an answer in these pieces. */
function read(pieces: readonly string[], options: Partial<AnswerReaderOptions> & { syntax?: CallSyntax } = {}): Seen {
  const { syntax, ...more } = options
  const calls = syntax && { syntax, tools }
  const reader = createAnswerReader({ startsIn: 'beginning', calls, ...more })
  const seen: Seen = { text: '', reasoning: '', calls: [] }
  const parts = pieces.flatMap((piece) => reader.add(piece))
  for (const part of [...parts, ...reader.end()]) {
    switch (part.type) {
      case 'text-delta':
        seen.text += part.text
        break
      case 'reasoning-delta':
        seen.reasoning += part.text
        break
      case 'tool-call-start':
        expect(part.call).toBe(seen.calls.length)
        expect(part.id).toMatch(/^call_[a-zA-Z0-9]{24}$/)
        seen.calls.push({ name: part.name, arguments: '' })
        break
      case 'tool-call-delta': {
        const call = seen.calls[part.call]
        if (call !== undefined) call.arguments += part.text
      }
    }
  }
  expect(reader.called).toBe(seen.calls.length > 0)
  return seen
}

const one = [{ name: 'get_weather', arguments: '{"city": "París"}' }]
const two = [...one, { name: 'get', arguments: '{}' }]
const phi = syntaxOf('phi4Mini')
const functionary: CallSyntax = { type: 'named', open: '<function=', callId: '', nameEnd: '>', close: '</function>' }

const written: ReadonlyArray<readonly [string, CallSyntax, string, Partial<Seen>]> = [
  ['Hermes', hermes, '<tool_call>\n{"name": "get_weather", "arguments": {"city": "París"}}\n</tool_call>', { calls: one }],
  [
    'Hermes, two',
    hermes,
    'Let me see.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "París"}}\n</tool_call>\n<tool_call>\n{"name": "get", "arguments": {}}\n</tool_call>\n',
    { text: 'Let me see.\n', calls: two },
  ],
  [
    'Hermes, arguments first',
    hermes,
    '<tool_call>{"arguments": {"city": "París"}, "name": "get_weather"}</tool_call>',
    { calls: one },
  ],
  ['Hermes, without arguments', hermes, '<tool_call>{"name": "get"}</tool_call>', { calls: [{ name: 'get', arguments: '{}' }] }],
  [
    'Hermes, arguments as a string',
    hermes,
    '<tool_call>{"name": "get_weather", "arguments": "{\\"city\\": \\"París\\"}"}</tool_call>',
    { calls: one },
  ],
  [
    'Hermes, never closed',
    hermes,
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Par',
    { calls: [{ name: 'get_weather', arguments: '{"city": "Par' }] },
  ],
  [
    'Hermes, broken arguments',
    hermes,
    '<tool_call>{"name": "get_weather", "arguments": {"city": oops</tool_call> Sorry.',
    { text: ' Sorry.', calls: [{ name: 'get_weather', arguments: '{"city": oops' }] },
  ],
  [
    'Hermes, the mark inside a string',
    hermes,
    '<tool_call>{"name": "get_weather", "arguments": {"city": "</tool_call>}"}}</tool_call>',
    { calls: [{ name: 'get_weather', arguments: '{"city": "</tool_call>}"}' }] },
  ],
  [
    'Hermes, a function that was not offered',
    hermes,
    'See: <tool_call>{"name": "rm", "arguments": {}}</tool_call>',
    { text: 'See: <tool_call>{"name": "rm", "arguments": {}}</tool_call>' },
  ],
  ['Hermes, no JSON', hermes, 'The <tool_call> tag, <tool_', { text: 'The <tool_call> tag, <tool_' }],
  [
    'Qwen3-Coder',
    syntaxOf('qwen3Coder'),
    '<tool_call>\n<function=get_weather>\n<parameter=city>\nPar"ís\nSur\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>',
    { calls: [{ name: 'get_weather', arguments: '{"city": "Par\\"ís\\nSur", "days": 2}' }] },
  ],
  [
    'Qwen3-Coder, no parameters',
    syntaxOf('qwen3Coder'),
    'So:\n<tool_call>\n<function=get>\n</function>\n</tool_call>',
    { text: 'So:\n', calls: [{ name: 'get', arguments: '{}' }] },
  ],
  [
    'Qwen3-Coder, cut off',
    syntaxOf('qwen3Coder'),
    '<tool_call>\n<function=get_weather>\n<parameter=city>\nPar',
    { calls: [{ name: 'get_weather', arguments: '{"city": "Par' }] },
  ],
  [
    'Qwen3-Coder, another function',
    syntaxOf('qwen3Coder'),
    '<tool_call>\n<function=rm>\n</function>',
    { text: '<tool_call>\n<function=rm>\n</function>' },
  ],
  ['Llama 3', syntaxOf('llama3'), '{"name": "get_weather", "parameters": {"city": "París"}}', { calls: one }],
  [
    'Llama 3, with its tag',
    syntaxOf('llama3'),
    '<|python_tag|>{"type": "function", "function": {"name": "get_weather", "parameters": {"city": "París"}}}',
    { calls: one },
  ],
  [
    'Llama 3, two',
    syntaxOf('llama3'),
    '{"name": "get_weather", "parameters": {"city": "París"}}; {"name": "get", "parameters": {}}',
    { calls: two },
  ],
  ['Llama 3, other JSON', syntaxOf('llama3'), ' {"name": "Ada", "age": 36}', { text: ' {"name": "Ada", "age": 36}' }],
  [
    'Llama 3, JSON in a text',
    syntaxOf('llama3'),
    'Write {"name": "get", "parameters": {}}',
    { text: 'Write {"name": "get", "parameters": {}}' },
  ],
  [
    'Mistral',
    syntaxOf('mistralList'),
    '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "París"}, "id": "abcdefghi"}, {"name": "get", "arguments": {}}]',
    { calls: two },
  ],
  [
    'Mistral, a list that breaks',
    syntaxOf('mistralList'),
    '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "París"}}, and more',
    { calls: one, text: ' and more' },
  ],
  [
    'Mistral, name first',
    syntaxOf('mistralNamed'),
    '[TOOL_CALLS]get_weather[CALL_ID]abcdefghi[ARGS]{"city": "París"}[TOOL_CALLS]get[ARGS]{}',
    { calls: two },
  ],
  ['Mistral, name of another', syntaxOf('mistralNamed'), '[TOOL_CALLS]get_all[ARGS]{}', { text: '[TOOL_CALLS]get_all[ARGS]{}' }],
  [
    'Phi-4-mini',
    phi,
    '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "París"}}, {"name": "get", "arguments": {}}]<|/tool_call|>',
    { calls: two },
  ],
  [
    'Phi-4-mini, nested',
    phi,
    '<|tool_call|>[{"type":"function","function":{"name":"get_weather","arguments":{"city": "París"}}}]<|/tool_call|>',
    { calls: one },
  ],
  ['Functionary', functionary, '<function=get_weather>{"city": "París"}</function>', { calls: one }],
  ['the generic form', genericCalls, '\n{"name": "get_weather", "arguments": {"city": "París"}}\n', { calls: one }],
  [
    'the generic form in a block of code',
    genericCalls,
    '```json\n{"name": "get_weather", "arguments": {"city": "París"}}\n```\n',
    { calls: one },
  ],
  ['the generic form, a block of other code', genericCalls, '```js\nx = {}\n```', { text: '```js\nx = {}\n```' }],
  ['the generic form, other JSON', genericCalls, '{"city": "París"}', { text: '{"city": "París"}' }],
]

describe('calls are read from what a model writes', () => {
  test.each(written)('%s', (_, syntax, text, expected) => {
    expect(read([text], { syntax })).toEqual({ text: '', reasoning: '', calls: [], ...expected })
  })

  test.each(written)('%s, cut at each character', (_, syntax, text) => {
    const whole = read([text], { syntax })
    expect(read([...text], { syntax })).toEqual(whole)
    for (let at = 1; at < text.length; at++) expect(read([text.slice(0, at), text.slice(at)], { syntax })).toEqual(whole)
  })

  test('arguments come as they are written', () => {
    const reader = createAnswerReader({ startsIn: 'beginning', calls: { syntax: hermes, tools }, createId: () => 'id' })
    expect(reader.add('<tool_call>{"name": "get_weather", "arguments": {"ci')).toEqual([
      { type: 'tool-call-start', call: 0, id: 'id', name: 'get_weather' },
      { type: 'tool-call-delta', call: 0, text: '{"ci' },
    ])
    expect(reader.add('ty"')).toEqual([{ type: 'tool-call-delta', call: 0, text: 'ty"' }])
  })

  test('nothing is a call where no tools are offered', () => {
    const text = '<tool_call>{"name": "get", "arguments": {}}</tool_call>'
    expect(read([text])).toEqual({ text, reasoning: '', calls: [] })
  })
})

test.each([
  ['```json\n{"name": "get", "arguments": {}}\n```\nThat is it', 'That is it'],
  ['```\n{"name": "get", "arguments": {}}```', ''],
  ['{"name": "get", "arguments": {}}\n```python\nx\n```', '\n```python\nx\n```'],
  ['```json\n{"name": "get", "arguments": {}}\n```\n```python\nx\n```', '```python\nx\n```'],
])('the end of the block of code around a call is none of the answer: %j', (answer, text) => {
  for (const size of [1, 2, 3, 7, answer.length]) {
    const pieces = answer.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
    expect(read(pieces, { syntax: genericCalls })).toEqual({ text, reasoning: '', calls: [{ name: 'get', arguments: '{}' }] })
  }
})

describe('reasoning', () => {
  const reasoning = think
  test.each([
    ['<think>\nHm.\n</think>\n\nParis', { reasoning: 'Hm.', text: 'Paris' }],
    ['\n<think></think>Paris', { text: 'Paris' }],
    ['<think>\nHm, no end', { reasoning: 'Hm, no end' }],
    ['Paris <think>not</think>', { text: 'Paris <think>not</think>' }],
    ['<thin', { text: '<thin' }],
    ['<think>a\n\nb</thinking></think> c', { reasoning: 'a\n\nb</thinking>', text: ' c' }],
  ])('of %j', (text, expected) => {
    const whole = { text: '', reasoning: '', calls: [], ...expected }
    expect(read([text], { reasoning })).toEqual(whole)
    expect(read([...text], { reasoning })).toEqual(whole)
  })

  test('goes on where the prompt has begun it', () => {
    expect(read([...'Hm.\n</think>\n\nParis'], { reasoning, startsIn: 'reasoning' })).toMatchObject({
      reasoning: 'Hm.',
      text: 'Paris',
    })
  })

  test('may lead to a call, and holds none itself', () => {
    const call = '<tool_call>{"name": "get", "arguments": {}}</tool_call>'
    const seen = read([...`<think>\n${call}\n</think>\n\n${call}`], { reasoning, syntax: hermes })
    expect(seen).toEqual({ reasoning: call, text: '', calls: [{ name: 'get', arguments: '{}' }] })
  })

  test('of gpt-oss stands in its own channel', () => {
    const marks = detectChatFormat("{{ '<|channel|>analysis<|message|>' }}").reasoning
    const text = '<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Paris'
    expect(read([...text], { reasoning: marks })).toMatchObject({ reasoning: 'Hm.', text: 'Paris' })
    expect(read([...'<|channel|>final<|message|>Paris'], { reasoning: marks })).toMatchObject({ reasoning: '', text: 'Paris' })
  })
})

describe('whatever a model writes', () => {
  const syntaxes = [...Object.values(templates).map((template) => detectChatFormat(template).calls), functionary]
  const pieces = fastCheck.constantFrom(
    ...[
      '<think>',
      '</think>',
      '<tool_call>',
      '</tool_call>',
      '[TOOL_CALLS]',
      '[ARGS]',
      '<|tool_call|>',
      '<|/tool_call|>',
      '[',
      ']',
    ],
    ...[
      '{"name": "get", "arguments": {}}',
      '{"name": "get", ',
      '"arguments": {"a": "}"}',
      '{',
      '}',
      '"',
      '\\',
      'get',
      '<function=',
    ],
    ...['>', '`', '```json\n', '<parameter=a>', '</parameter>', '</function>', 'a', ' ', '\n', ',', ';', '<', 'ñ', '😀'],
  )

  test('it is the same wherever it is cut', () => {
    const options = fastCheck.record({
      syntax: fastCheck.constantFrom(...syntaxes),
      reasoning: fastCheck.constantFrom(undefined, think),
      startsIn: fastCheck.constantFrom('beginning' as const, 'text' as const),
    })
    fastCheck.assert(
      fastCheck.property(
        fastCheck.array(pieces, { maxLength: 14 }),
        options,
        fastCheck.infiniteStream(fastCheck.nat(3)),
        (list, how, cuts) => {
          const text = list.join('')
          const whole = read([text], how)
          expect(read([...text], how)).toEqual(whole)
          const cut: string[] = []
          for (let at = 0; at < text.length; ) {
            const length = (cuts.next().value ?? 0) + 1
            cut.push(text.slice(at, at + length))
            at += length
          }
          expect(read(cut, how)).toEqual(whole)
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('text without marks comes out unchanged, and at once but for white space at the start', () => {
    const plain = fastCheck.array(fastCheck.constantFrom('a', ' ', '\n', 'ñ', '😀', ',', '}'), { maxLength: 20 })
    fastCheck.assert(
      fastCheck.property(plain, fastCheck.constantFrom(...syntaxes), (list, syntax) => {
        const text = list.join('')
        expect(read(list, { syntax, reasoning: think })).toEqual({ text, reasoning: '', calls: [] })
        const reader = createAnswerReader({ startsIn: 'beginning', calls: { syntax, tools }, reasoning: think })
        const shown = list.flatMap((piece) => reader.add(piece)).map((part) => (part.type === 'text-delta' ? part.text : ''))
        expect(shown.join('')).toBe(text.trim() === '' ? '' : text)
      }),
    )
  })
})

describe('log-probabilities', () => {
  const token = (text: string): TokenLogprob => ({ text, bytes: [...Buffer.from(text)], logprob: -1, top: [] })
  const tokensOf = (pieces: readonly string[], options: Partial<AnswerReaderOptions>) => {
    const reader = createAnswerReader({ startsIn: 'beginning', ...options })
    const parts = [...pieces.flatMap((piece) => reader.add(piece, [token(piece)])), ...reader.end()]
    return parts.flatMap((part) => (part.type === 'text-delta' ? [[part.text, (part.tokens ?? []).map(({ text }) => text)]] : []))
  }

  test('go with the text, and are left out with reasoning and calls', () => {
    const calls = { syntax: hermes, tools }
    const pieces = ['<think>', 'Hm', '</think>', '\n\n', 'Par', 'is <to', 'ol', '<tool_call>', '{"name": "get"}', '</tool_call>']
    expect(tokensOf(pieces, { calls, reasoning: think })).toEqual([
      ['Par', ['Par']],
      ['is ', ['is <to']],
      ['<tool', ['ol']],
    ])
  })

  test('of a token that is a part of a character stay with the text that came with it', () => {
    const reader = createAnswerReader({ startsIn: 'text', reasoning: think })
    const halves = [token('�'), token('�')]
    expect(reader.add('ñ', halves)).toEqual([{ type: 'text-delta', text: 'ñ', tokens: halves }])
  })
})
