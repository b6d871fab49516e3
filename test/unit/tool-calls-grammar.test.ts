import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import { type CallSyntax, detectChatFormat } from '../../src/engine/chat-format.ts'
import { createAnswerReader } from '../../src/engine/chat-format-reader.ts'
import { createGrammar } from '../../src/engine/json-grammar.ts'
import { textWithout } from '../../src/engine/json-grammar-without.ts'
import type { AnswerFormat, Tool, Tools } from '../../src/engine/provider.ts'
import { type AnswerConstraint, constrainAnswer } from '../../src/engine/tool-calls-grammar.ts'
import { templates } from '../chat-templates.ts'
import { accepts, createGenerator, parseGbnf } from '../gbnf.ts'

const ajv = new Ajv2020({ strict: false })
const weather: Tool = {
  name: 'get_weather',
  parameters: {
    type: 'object',
    properties: {
      city: { type: 'string' },
      unit: { type: 'string', enum: ['C', 'F'] },
      days: { type: 'integer', minimum: 1, maximum: 14 },
      places: { type: 'array', items: { $ref: '#/$defs/place' }, maxItems: 2 },
    },
    required: ['city', 'days'],
    $defs: { place: { type: 'object', properties: { lat: { type: 'number' } }, required: ['lat'], additionalProperties: false } },
  },
}
const now: Tool = { name: 'now', parameters: { type: 'object', properties: {} } }
const offered: readonly Tool[] = [weather, now]

type Options = Partial<Tools> & { format?: AnswerFormat; reasoningEnd?: string }
const constrain = (syntax: CallSyntax, { format, reasoningEnd, ...tools }: Options = {}): AnswerConstraint =>
  constrainAnswer({ syntax, tools: { tools: offered, choice: 'required', parallel: true, ...tools }, format, reasoningEnd })
const accept = ({ grammar }: AnswerConstraint, text: string) => accepts(parseGbnf(grammar ?? ''), text)

/** What texts of the grammar are read as, behind `before`. */
function readSamples(syntax: CallSyntax, { grammar }: AnswerConstraint, before: string, samples: number) {
  const generate = createGenerator(parseGbnf(grammar ?? ''), 200)
  let state = 7
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  return Array.from({ length: samples }, () => {
    const written = before + generate(random)
    const reader = createAnswerReader({ startsIn: 'beginning', calls: { syntax, tools: offered } })
    const calls: Array<{ name: string; arguments: string }> = []
    let text = ''
    for (const part of [...reader.add(written), ...reader.end()]) {
      const last = calls.at(-1)
      if (part.type === 'tool-call-start') calls.push({ name: part.name, arguments: '' })
      else if (part.type === 'tool-call-delta' && last !== undefined) last.arguments += part.text
      else if (part.type === 'text-delta') text += part.text
    }
    return { written, calls, text }
  })
}

function expectValid(call: Readonly<{ name: string; arguments: string }>): void {
  const tool = offered.find(({ name }) => name === call.name)
  const schema = tool?.parameters
  const valid = ajv.validate(typeof schema === 'object' && schema !== null ? schema : false, JSON.parse(call.arguments))
  if (!valid) expect.fail(`${call.arguments}: ${ajv.errorsText()}`)
}

const families = Object.entries(templates).map(([name, template]) => [name, detectChatFormat(template).calls] as const)

describe.each(families)('calls of %s', (name, syntax) => {
  const holdsOne = syntax.type === 'bare'

  test('that are required are nothing but valid calls of offered functions', () => {
    const samples = readSamples(syntax, constrain(syntax), '', 60)
    for (const { calls, text, written } of samples) {
      expect(text, written).toBe('')
      expect(calls.length, written).toBeGreaterThan(0)
      calls.forEach(expectValid)
    }
    if (!holdsOne) expect(samples.some(({ calls }) => calls.length > 1)).toBe(true)
  })

  test('are one where several are not wanted', () => {
    const samples = readSamples(syntax, constrain(syntax, { parallel: false }), '', 40)
    for (const { calls, written } of samples) expect(calls, written).toHaveLength(1)
  })

  test('are of the function that must be called', () => {
    const samples = readSamples(syntax, constrain(syntax, { choice: { name: 'now' }, parallel: false }), '', 5)
    for (const { calls, written } of samples)
      expect(
        calls.map((call) => [call.name, JSON.parse(call.arguments)]),
        written,
      ).toEqual([['now', {}]])
  })

  test('are kept to from their mark on where the model decides', () => {
    const constraint = constrain(syntax, { choice: 'auto' })
    if (syntax.type === 'bare') {
      expect(constraint.grammarAfter).toBeUndefined()
      for (const text of [
        '',
        'Hello {',
        'Why, 2 < 3?',
        '¡Hola!',
        '{"name": "now", "KEY": {}}'.replace('KEY', syntax.argumentsKey),
      ])
        expect(accept(constraint, text), text).toBe(true)
      for (const text of ['{"a": 1}', '{', ' {"name": "rm"}']) expect(accept(constraint, text), text).toBe(false)
      return
    }
    expect(constraint.grammarAfter).toBe(syntax.open)
    expect(constraint.grammarRepeats ?? false).toBe(!(syntax.type === 'json' && syntax.isList))
    expect(constrain(syntax, { choice: 'auto', parallel: false }).grammarRepeats).toBeUndefined()
    for (const { calls, text } of readSamples(syntax, constraint, `So: ${syntax.open}`, 40)) {
      expect(text).toBe('So: ')
      calls.forEach(expectValid)
    }
    expect(name).not.toBe('gemma')
  })

  test('or an answer in a format, begin after the reasoning', () => {
    const format = {
      type: 'json-schema',
      schema: { type: 'object', properties: { a: { type: 'integer' } } },
      field: 'format',
    } as const
    const constraint = constrain(syntax, { choice: 'auto', format, reasoningEnd: '</think>' })
    expect(constraint).toMatchObject({ grammarAfter: '</think>', grammarRequired: true })
    expect(accept(constraint, '\n\n{"a":1}')).toBe(true)
    expect(accept(constraint, 'Hello')).toBe(false)
    for (const { calls } of readSamples(syntax, constrain(syntax, { reasoningEnd: '</think>' }), '', 10))
      expect(calls.length).toBeGreaterThan(0)
  })

  test('with a schema that cannot be kept to are refused, with its place', () => {
    const parameters = { type: 'object', properties: { a: { type: 'string' }, b: { type: 'object', not: {} } } }
    const tools = [now, { name: 'bad', parameters }]
    expect(() => constrain(syntax, { tools })).toThrow(
      expect.objectContaining({
        code: 'invalid',
        message: expect.stringContaining('the tool "bad"'),
        details: [expect.objectContaining({ field: 'tools/1/parameters/properties/b/not' })],
      }),
    )
    // Where the request holds them, if that is told.
    const placed = tools.map((tool, place) => ({ ...tool, field: `tools.${place}.input_schema` }))
    expect(() => constrain(syntax, { tools: placed })).toThrow(
      expect.objectContaining({ details: [expect.objectContaining({ field: 'tools.1.input_schema/properties/b/not' })] }),
    )
  })
})

describe('the grammar of calls', () => {
  const hermes = detectChatFormat(templates.qwen25).calls

  test('writes them as the family does', () => {
    const text = '<tool_call>\n{"name": "get_weather", "arguments": {"city":"París","days":2}}\n</tool_call>'
    expect(accept(constrain(hermes), `${text}\n${text}`)).toBe(true)
    expect(accept(constrain(hermes), text.replace('14', '15').replace(':2', ':15'))).toBe(false)
    expect(accept(constrain(hermes), text.replace('get_weather', 'rm'))).toBe(false)
    const list = detectChatFormat(templates.mistralList).calls
    expect(accept(constrain(list), '[TOOL_CALLS][{"name": "now", "arguments": {}}, {"name": "now", "arguments": {}}]')).toBe(true)
  })

  test('takes a function without a schema for one without arguments', () => {
    const tools = [{ name: 'plain', parameters: undefined }]
    expect(accept(constrain(hermes, { tools }), '<tool_call>{"name": "plain", "arguments": {}}</tool_call>')).toBe(true)
    expect(accept(constrain(hermes, { tools }), '<tool_call>{"name": "plain", "arguments": {"a":1}}</tool_call>')).toBe(false)
  })

  test('in tags keeps to what is said of a text, by writing it as JSON, and to references to the whole schema', () => {
    const tagged = detectChatFormat(templates.qwen3Coder).calls
    const parameters = {
      type: 'object',
      properties: {
        free: { type: 'string' },
        code: { type: 'string', pattern: '^[A-Z]{2}$' },
        mixed: { type: 'string', enum: ['a', 1] },
        inner: { type: 'object', properties: { again: { $ref: '#' } }, additionalProperties: false },
      },
      required: ['code'],
      additionalProperties: false,
    }
    const constraint = constrain(tagged, { tools: [{ name: 'f', parameters }] })
    const call = (...parameters: readonly string[]) =>
      `<tool_call>\n<function=f>\n${parameters.map((one) => `<parameter=${one}\n</parameter>\n`).join('')}</function>\n</tool_call>`
    expect(accept(constraint, call('free>\nas it is', 'code>\n"AB"'))).toBe(true)
    expect(accept(constraint, call('code>\nABC'))).toBe(false)
    expect(accept(constraint, call('code>\n"ABC"'))).toBe(false)
    expect(accept(constraint, call('code>\n"AB"', 'mixed>\n"a"'))).toBe(true)
    expect(accept(constraint, call('code>\n"AB"', 'mixed>\n1'))).toBe(false)
    expect(accept(constraint, call('code>\n"AB"', 'inner>\n{"again":{"code":"CD"}}'))).toBe(true)
    expect(accept(constraint, call('code>\n"AB"', 'inner>\n{"again":{}}'))).toBe(false)
  })

  test.each([
    [{ anyOf: [{ required: ['a'] }, { required: ['b'] }] }, 'anyOf'],
    [{ minProperties: 1 }, 'minProperties'],
    [{ required: ['z'] }, 'required'],
    [{ allOf: [{ properties: { a: false } }], required: ['a'] }, 'required'],
    [{ type: 'string' }, 'type'],
  ])('in tags refuses what they cannot keep to: %j', (more, keyword) => {
    const tagged = detectChatFormat(templates.qwen3Coder).calls
    const parameters = { type: 'object', properties: { a: { type: 'string' }, b: { type: 'integer' } }, ...more }
    expect(() => constrain(tagged, { tools: [{ name: 'f', parameters }] })).toThrow(
      expect.objectContaining({
        code: 'invalid',
        details: [expect.objectContaining({ field: `tools/0/parameters/${keyword}` })],
      }),
    )
  })

  test('is none where neither tools nor a format ask for it', () => {
    expect(constrainAnswer({ syntax: hermes, tools: undefined, format: undefined, reasoningEnd: '</think>' })).toEqual({})
  })

  test.each(['</a>', 'aab', '\n</parameter>'])('knows every text that does not hold %j', (mark) => {
    const without = parseGbnf(createGrammar((rules) => textWithout(rules, mark)))
    const inner = mark.slice(0, -1)
    for (const text of ['', 'x', inner, `${inner}${inner}`, `${mark.slice(1)}x`, `a${inner}x${inner}`, '<</</a', 'ñ😀'])
      expect(accepts(without, text), text).toBe(!text.includes(mark))
    for (const text of [mark, `x${mark}`, `${inner}${mark}`, `${mark}y`, `a${mark}`])
      expect(accepts(without, text), text).toBe(false)
  })
})
