import fc from 'fast-check'
import { expect } from 'vitest'
import { createFakeEngine, type Script } from './fake-engine.ts'
import { bodyOf, joinTokens, startServer, type TestServer } from './server.ts'
import { readEvents } from './sse-parser.ts'

/** Characters of one to four bytes, line ends of all kinds, and what means something in event streams and JSON. */
const texts = fc.array(
  fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }),
    fc.constantFrom(
      '\n',
      '\r\n',
      '\r',
      ' ',
      '  ',
      '😀',
      '\u2028',
      'data: ',
      'event: done\n\n',
      '[DONE]',
      '"',
      '\\n',
      'stop here',
    ),
  ),
  { minLength: 1, maxLength: 12 },
)

/** An answer as tokens, which may end inside a character, and what is asked of it. */
const question = fc.record({
  texts,
  cuts: fc.array(fc.nat({ max: 200 }), { maxLength: 20 }),
  limit: fc.integer({ min: 1, max: 40 }),
  stop: fc.constantFrom([], ['stop'], ['\n'], ['😀', 'data']),
})
type Question = typeof question extends fc.Arbitrary<infer Value> ? Value : never

function scriptOf({ texts: pieces, cuts }: Question): Script {
  const bytes = Buffer.from(pieces.join('').toWellFormed())
  const places = [...new Set(cuts.map((cut) => cut % Math.max(1, bytes.length)))].sort((one, other) => one - other)
  const ends = [...places, bytes.length]
  const tokens = ends.map((end, index) => Uint8Array.from(bytes.subarray(ends[index - 1] ?? 0, end)))
  return { pieces: tokens.filter(({ length }) => length > 0) }
}

type Json = Readonly<Record<string, unknown>>
/** Where the APIs have text: in whole answers, and in pieces of streams. */
type Spoken = Readonly<{
  choices: ReadonlyArray<Readonly<{ text?: string; message?: { content: string }; delta?: { content?: string } }>>
  content: ReadonlyArray<Readonly<{ text: string }>>
  delta?: Readonly<{ text?: string }>
  response: string
}>
/** A way to the same answer: where it is asked, and where its text stands whole and in pieces. */
type Way = Readonly<{
  path: string
  body: Json
  whole: (answer: Spoken) => string | undefined
  piece: (event: Spoken) => string | undefined
  lines?: true
}>

const chat = [{ role: 'user', content: 'x' }]
const ways = ({ limit, stop }: Question, name: string): readonly Way[] => [
  {
    path: '/v1/completions',
    body: { prompt: name, max_tokens: limit, stop },
    whole: ({ choices }) => choices[0]?.text,
    piece: ({ choices }) => choices[0]?.text,
  },
  {
    path: '/v1/chat/completions',
    body: { messages: chat, max_tokens: limit, stop },
    whole: ({ choices }) => choices[0]?.message?.content,
    piece: ({ choices }) => choices[0]?.delta?.content,
  },
  {
    path: '/v1/messages',
    body: { model: 'fake', messages: chat, max_tokens: limit, stop_sequences: stop.filter((text) => text.trim() !== '') },
    whole: ({ content }) => content.map(({ text }) => text).join(''),
    piece: ({ delta }) => delta?.text,
  },
  {
    path: '/api/generate',
    body: { model: 'fake', prompt: name, raw: true, options: { num_predict: limit, stop } },
    whole: ({ response }) => response,
    piece: ({ response }) => response,
    lines: true,
  },
]

async function post({ url }: TestServer, path: string, body: Json): Promise<Response> {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
  return response
}

async function textOfStream(server: TestServer, { path, body, piece, lines }: Way): Promise<string> {
  const response = await post(server, path, { ...body, stream: true })
  if (lines === true)
    return (await response.text())
      .trim()
      .split('\n')
      .map((line) => piece(JSON.parse(line)) ?? '')
      .join('')
  let text = ''
  for await (const { data } of readEvents(response)) if (data !== '[DONE]') text += piece(JSON.parse(data)) ?? ''
  return text
}

/**
 * Asks for so many answers whole and streamed, on every way, and expects the same bytes; always the same answers. Tells how many characters
 * they had.
 */
export async function compareWays(cases: number): Promise<number> {
  let script: Script = { pieces: [] }
  let characters = 0
  await using server = await startServer({ host: createFakeEngine({ answer: () => script }) })
  using socket = await server.socket()
  for (const [number, asked] of fc.sample(question, { numRuns: cases, seed: 1 }).entries()) {
    script = scriptOf(asked)
    const name = `case ${number}`
    const body = { prompt: name, max_length: asked.limit, ...(asked.stop.length === 0 ? {} : { stop: asked.stop }) }
    const whole = (await bodyOf(await server.predict(body))).choices[0]?.text ?? ''
    characters += whole.length
    socket.send(body)
    expect(joinTokens(await socket.answer()), name).toBe(whole)
    // An event stream has one kind of line end.
    expect((await server.stream(body)).text, name).toBe(whole.replaceAll(/\r\n?/g, '\n'))
    for (const way of ways(asked, name)) {
      const answer = way.whole(await bodyOf<Spoken>(await post(server, way.path, { ...way.body, stream: false })))
      expect(await textOfStream(server, way), `${name} of ${way.path}`).toBe(answer)
    }
  }
  return characters
}
