import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createScriptedCli, refuse, streamOf } from './cli-scripted.ts'
import { createServedCli } from './cli-world.ts'

/** Someone whose collection holds one text, with a model that answers so. */
async function createWorld(pieces: readonly string[], variables: Record<string, string> = {}) {
  const cli = await createServedCli({ pieces, ...variables })
  await cli.run('login ana --register', 'a-long-password-of-ana\n')
  const folder = join(cli.home, 'papers')
  await mkdir(folder)
  await writeFile(join(folder, 'hours.md'), '# Museum\n\nThe museum opens at ten. It closes on Mondays.')
  await cli.run(`docs add ${folder}`)
  return cli
}

test('an answer comes with its sources, and what no source says is marked', async () => {
  const { run } = await createWorld(['The museum opens at ten [1]. ', 'Dogs pay 9 euros [7].'])
  const { code, output, notes } = await run('docs ask When does the museum open?')
  expect({ code, output }).toEqual({ code: 0, output: 'The museum opens at ten [1]. Dogs pay 9 euros.\n' })
  expect(notes).toMatch(/Sources:\n {2}\[1\] Museum · .*hours\.md\n/)
  expect(notes).toContain('! No source says: Dogs pay 9 euros.')
})

test('as JSON it is what the service answers', async () => {
  const { run } = await createWorld(['The museum opens at ten [1].'])
  expect(JSON.parse((await run('docs ask When does the museum open? --json --mode words')).output)).toMatchObject({
    answer: 'The museum opens at ten [1].',
    sources: [{ number: 1, document: 'Museum', section: 'Museum' }],
  })
})

test('lines are a conversation: a question goes with those before', async () => {
  const { run, asked } = await createWorld(['The museum opens at ten [1].'])
  const { code, output } = await run('docs ask', 'When does the museum open?\nAnd on Mondays?\n')
  expect({ code, output }).toEqual({ code: 0, output: 'The museum opens at ten [1].\nThe museum opens at ten [1].\n' })
  const { prompt } = asked.at(-1) ?? {}
  expect(prompt?.type === 'chat' ? prompt.messages.slice(-3) : []).toMatchObject([
    { role: 'user', content: 'When does the museum open?' },
    { role: 'assistant', content: 'The museum opens at ten [1].' },
    { role: 'user', content: expect.stringContaining('And on Mondays?') },
  ])
})

test('a collection that there is not, and a mode that is none, are told', async () => {
  const { run } = await createWorld(['x'])
  expect(await run('docs ask Hello --collection nothing')).toMatchObject({ code: 1, notes: expect.stringContaining('nothing') })
  expect(await run('docs ask Hello --mode magic')).toMatchObject({ code: 1, notes: expect.stringContaining('magic') })
  expect(await run('docs ask --collection nothing', 'Hello\n')).toMatchObject({ code: 1, output: '' })
})

const sentence = (text: string, more: object) => ({
  text,
  offset: 0,
  citations: [],
  supported: null,
  support: 0,
  nearest_source: null,
  ...more,
})
const source = (number: number, more: object) => ({
  ...{ number, document: 'Tides', source: 'guide/tides.pdf', page: null, last_page: null, section: null },
  ...more,
})
const answerOf =
  (...pieces: readonly string[]) =>
  () =>
    streamOf({ event: 'sources', data: { sources: [] } }, ...pieces, { event: 'done', data: { sentences: [] } })

test('a source is named by document, file, pages and section, and a sentence by the source that is nearest to it', async () => {
  const sources = [
    source(1, { page: 3, last_page: 5, section: 'Spring' }),
    source(2, { page: 3, last_page: 3, section: 'Tides' }),
    source(3, { document: 'guide/tides.pdf', page: 4 }),
  ]
  const sentences = [
    sentence('It is high at noon.\u001b[2J', { nearest_source: 2 }),
    sentence('So they say [1].', { citations: [1], nearest_source: 1 }),
    sentence('Nobody knows.', {}),
    sentence('Cows swim.', { supported: false, nearest_source: 1 }),
  ]
  const { run } = await createScriptedCli({
    'POST /rag/query': () =>
      streamOf({ event: 'sources', data: { sources } }, 'High', ' at noon.', { event: 'done', data: { sentences } }),
  })
  const { output, notes } = await run('docs ask When?')
  expect(output).toBe('High at noon.\n')
  expect(notes.split('\n')).toEqual([
    ...['', 'Sources:', '  [1] Tides · guide/tides.pdf · pages 3–5 · Spring', '  [2] Tides · guide/tides.pdf · page 3'],
    ...['  [3] guide/tides.pdf · page 4', '  · Nearest to [2]: It is high at noon.[2J', '  ! No source says: Cows swim.', ''],
  ])
})

test('a person is greeted, asks line by line, and leaves with an empty one', async () => {
  const { start, asked } = await createScriptedCli({ 'POST /rag/query': answerOf('At ten.') }, { isPerson: true })
  const { seen, type, done } = start('docs ask')
  await seen('An empty line ends the conversation.')
  type('When?\r')
  await seen('At ten.\n')
  type('Sure?\r')
  await expect.poll(() => asked).toHaveLength(2)
  type('\r')
  expect((await done).code).toBe(0)
  expect(asked[1]?.body).toMatchObject({
    question: 'Sure?',
    history: [
      { role: 'user', content: 'When?' },
      { role: 'assistant', content: 'At ten.' },
    ],
  })
})

test('a question without an answer is told and is no part of the conversation, and the next ones are asked', async () => {
  const answers = [() => refuse(429, { code: 'rate_limited', message: 'Too many.' }), answerOf(' '), answerOf('At ten.')]
  const { run, asked } = await createScriptedCli({ 'POST /rag/query': () => answers.shift()?.() ?? streamOf() })
  expect(await run('docs ask', 'When?\n\nWhere?\nWhy?\n')).toMatchObject({ code: 1, notes: expect.stringContaining('Too many.') })
  expect(asked.map(({ body }) => Reflect.get(Object(body), 'history'))).toEqual([[], [], []])
  expect(answers).toEqual([])
})

test('an answer that is no answer of this service is not taken for one', async () => {
  const { run } = await createScriptedCli({ 'POST /rag/query': () => new Response('event: sources\ndata: <html>\n\n') })
  await expect(run('docs ask', 'When?\n')).rejects.toThrow('JSON')
})
