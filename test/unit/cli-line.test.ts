import { PassThrough } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import type { Context } from '../../src/cli/context.ts'
import { chat } from '../../src/cli/line.ts'
import { speak } from '../../src/cli/messages.ts'
import { createClient } from '../../src/client.ts'
import { startServer } from '../server.ts'
import { createScriptedCli, refuse, spanish, streamOf } from './cli-scripted.ts'
import { createServedCli, scriptedHost } from './cli-world.ts'

test('from a pipe each line is a question, and the conversation is kept', async () => {
  const { run, asked } = await createServedCli({ pieces: ['Madrid', ', of course'] })
  const { code, output, notes } = await run('line', 'Capital of Spain?\n\nReally?\n')
  expect({ code, output }).toEqual({ code: 0, output: 'Madrid, of course\nMadrid, of course\n' })
  expect(notes).toMatch(/2 tokens, [\d.]+ tokens\/s/)
  expect(asked.map(({ prompt }) => (prompt.type === 'chat' ? prompt.messages.map(({ content }) => content) : []))).toEqual([
    ['Capital of Spain?'],
    ['Capital of Spain?', 'Madrid, of course', 'Really?'],
  ])
})

test('/reset forgets the conversation, and /model shows and switches the model', async () => {
  const { run, asked } = await createServedCli()
  await run('login ana --register', 'a-long-password-of-ana\n')
  const { code, notes } = await run('line', 'One\n/reset\nTwo\n/model\n/model small\n/help\n')
  expect(code).toBe(0)
  expect(asked.at(-1)?.prompt).toEqual({ type: 'chat', messages: [{ role: 'user', content: 'Two' }] })
  expect(notes.match(/The model is small\./g)).toHaveLength(2)
  expect(notes).toContain('/reset begins')
})

test('a question that fails is told, leaves the conversation as it was, and makes the exit code 1', async () => {
  const { run, asked } = await createServedCli()
  const { code, notes } = await run('line', '/model nothing\n/fly\nStill there?\n')
  expect(code).toBe(1)
  expect(notes).toContain('There is no command /fly')
  expect(asked).toHaveLength(1)
})

test('control characters of an answer do not reach the terminal', async () => {
  const { run } = await createServedCli({ pieces: ['a\u001b[2J', 'b\n', '👩\u200d🔬'] })
  expect((await run('line', 'Hi\n')).output).toBe('a[2Jb\n👩\u200d🔬\n')
})

/** A person at a terminal: `type` sends keys, `seen` waits until a text has been shown. */
async function sitDown(pieces: Iterable<string>) {
  const { host, asked } = scriptedHost(pieces)
  const server = await startServer({ host })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => input })
  const screen = new PassThrough()
  let shown = ''
  const waiting = new Set<() => void>()
  screen.on('data', (chunk) => {
    shown += chunk
    for (const look of waiting) look()
  })
  const seen = (text: string) =>
    new Promise<void>((resolve) => {
      const look = () => void (shown.includes(text) && waiting.delete(look) && resolve())
      waiting.add(look)
      look()
    })
  const context: Pick<Context, 'language' | 'say' | 'terminal'> = {
    language: 'en',
    say: speak('en'),
    terminal: { input, output: screen, notes: screen },
  }
  const done = chat(createClient({ baseUrl: server.url }), context, () => performance.now())
  return { done, seen, asked, input, type: (keys: string) => input.write(keys), shown: () => shown }
}

function* forever() {
  for (;;) yield 'word '
}

test('Ctrl-C stops the answer without leaving, twice leaves', async () => {
  const { done, seen, type, shown } = await sitDown(forever())
  await seen('Talking to small')
  type('Go on\r')
  await seen('word word')
  type('\u0003')
  await seen('(stopped)')
  type('\u0003')
  await seen('Ctrl-C once more leaves')
  type('\u0003')
  expect(await done).toBe(0)
  expect(shown()).not.toContain('undefined')
})

test('Ctrl-D leaves', async () => {
  const { done, seen, type } = await sitDown(['Hi'])
  await seen('> ')
  type('\u0004')
  expect(await done).toBe(0)
})

const chunk = (content: string) => JSON.stringify({ id: 'c1', choices: [{ delta: { content }, finish_reason: null }] })
const model = { model_name: 'small', provider: 'hf', ran_on: 'local' }
const chatWith = (...answers: ReadonlyArray<() => Response>) => {
  const left = [...answers]
  return {
    'GET /model': model,
    'GET /health': { status: 'ok' },
    'POST /v1/chat/completions': () => left.shift()?.() ?? streamOf(),
  }
}

test('a person is told where the answers come from, and in words when no model answers', async () => {
  const greet = async (answering: object, variables = {}) => {
    const { run } = await createScriptedCli({ 'GET /model': answering }, { isPerson: true, variables })
    return (await run('line')).notes
  }
  expect(await greet({ model_name: 'opus\u001b[2J', provider: 'claude', ran_on: 'cloud' })).toMatch(
    /^The model is opus\[2J of the provider claude: .* leaves this machine\.\nTalking to opus\[2J\./,
  )
  expect(await greet({ model_name: null, provider: 'hf', ran_on: null }, spanish)).toBe(`${speak('es')('noModelInUse')}\n`)
})

test('an answer that breaks off is told, and is no part of the conversation', async () => {
  const { run, asked } = await createScriptedCli(
    chatWith(
      () => streamOf(chunk('Half')),
      () => refuse(400, { code: 'context_length_exceeded', message: 'Too long.' }),
      () => streamOf(chunk('Whole'), '[DONE]'),
      () => streamOf('[DONE]'),
    ),
  )
  const { code, notes } = await run('line', 'One\nTwo\nThree\nFour\n/good\n')
  expect(code).toBe(1)
  expect(notes.trim().split(/\n+/)).toEqual([
    'The service went away in the middle of the answer.',
    ...['Too long.', speak('en')('chatTooLong'), speak('en')('chatNothingToRate')],
  ])
  const said = asked.map(({ body }) => Reflect.get(Object(body), 'messages')).filter(Boolean)
  expect(said.at(-1)).toMatchObject([{ content: 'Three' }, { content: 'Whole' }, { content: 'Four' }])
})

test('what nobody foresaw ends the conversation, and is not told as an answer', async () => {
  const { run } = await createScriptedCli(chatWith(() => streamOf('<html>')))
  await expect(run('line', 'One\n')).rejects.toThrow('JSON')
})

test('who leaves in the middle of an answer has ended it', async () => {
  const { done, type, seen, input } = await sitDown(forever())
  await seen('> ')
  type('Go on\r')
  await seen('word word')
  input.end()
  expect(await done).toBe(0)
})
