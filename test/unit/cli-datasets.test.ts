import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bodyOf } from '../server.ts'
import { createScriptedCli } from './cli-scripted.ts'
import { createServedCli } from './cli-world.ts'

async function openWorld(variables: Record<string, string> = {}) {
  const cli = await createServedCli(variables)
  await cli.run('login root --register', 'a-long-password-of-root\n')
  const file = join(cli.home, 'facts.jsonl')
  const rows = ['Rome', 'salt', 'tides'].map(
    (topic) => `${JSON.stringify({ prompt: `About ${topic}?`, completion: `${topic}!`, id: 1 })}\n`,
  )
  await writeFile(file, `${rows.join('')}\n{"prompt"\n${rows[0]}`)
  return { ...cli, file, rows }
}

test('a file becomes a dataset, which is listed, shown, exported and deleted', async () => {
  const { run, file, home, rows } = await openWorld()
  expect((await run('datasets')).notes).toBe('There are no datasets.\n')
  const made = await run(`datasets add ${file} --held-out 0.5 --seed 3`)
  expect(made.code).toBe(0)
  expect(made.output.replace(/[0-9a-f-]{36}/, 'ID').split('\n')).toEqual([
    'facts:1 is made: ID',
    '2 rows to learn from and 2 held out, of 3 conversations (chat)',
    '4 of 5 records kept',
    '1 empty lines',
    '1 refused, no valid JSON:',
    '  line 5: It is no JSON: it may be cut off, or a quote or comma is missing.',
    'Fields without a meaning here: id (4)',
    '1 flagged duplicate: lines 6 (1)',
    '',
  ])
  expect(await run(`datasets add ${file} --name facts --exclude duplicate`)).toMatchObject({ code: 0 })
  expect((await run('datasets list')).output).toMatch(
    /^facts:2\tchat\tupload\t3\+0\t\S+\t\S+\nfacts:1\tchat\tupload\t\S+\t\S+\t\S+\n$/,
  )
  expect(JSON.parse((await run('datasets list --json')).output)).toMatchObject([{ version: 2 }, { version: 1 }])
  expect((await run('datasets show facts')).output).toContain('1 left out as duplicate')
  expect(JSON.parse((await run('datasets show facts:1 --json')).output)).toMatchObject({ version: 1, report: { rows: 4 } })

  const exported = await run('datasets export facts')
  expect(exported.output.split('\n')).toHaveLength(rows.length + 1)
  const target = join(home, 'out.jsonl')
  expect(await run(`datasets export facts --output ${target}`)).toMatchObject({ code: 0, notes: `facts is in ${target}.\n` })
  expect(await readFile(target, 'utf8')).toBe(exported.output)
  expect(await run(`datasets export facts --output ${target}`)).toMatchObject({ code: 1, notes: `${target} is there already.\n` })

  expect((await run('datasets delete facts')).notes).toBe('facts:2 is deleted.\n')
  expect((await run('datasets list')).output).toMatch(/^facts:1\t/)
})

test('feedback becomes a dataset, in Spanish too', async () => {
  const { run, server } = await openWorld({ LANG: 'es_ES.UTF-8' })
  expect((await run('datasets from-feedback mine')).notes).toMatch(
    /^No se puede usar lo que se envió\.\n.*Rate or correct answers/,
  )
  const token = await server.login('ana')
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const post = async (path: string, body: object) =>
    bodyOf(await fetch(`${server.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) }))
  const { id } = await post('/predict', { prompt: 'Capital?' })
  await post('/feedback', { prediction_id: id, rating: 'down', correction: 'Madrid' })
  await post('/feedback', { text: 'bien' })
  const made = await run('datasets from-feedback mine --method dpo --user ana --from 2020-01-01 --rating down')
  expect(made).toMatchObject({ code: 0, output: expect.stringContaining('mine:1 está creado') })
  expect(made.output).toContain('Se usaron 1 de 1 lecciones')
  expect((await run('datasets from-feedback mine')).output).toContain('1 dejadas fuera: textos sin respuesta')
})

test('a dataset of feedback is chosen by tags and rating; with --json all of it is said', async () => {
  const { run, asked } = await createScriptedCli({ 'POST /datasets': { id: 'a', name: 'mine', version: 1 } })
  const { output } = await run('datasets from-feedback mine --tags style,,facts --rating up --json')
  expect(JSON.parse(output)).toEqual({ id: 'a', name: 'mine', version: 1 })
  expect(asked).toMatchObject([
    { body: { name: 'mine', from_feedback: { method: 'sft', rating: 'up', tags: ['style', 'facts'] } } },
  ])
})

test('of what was refused and flagged a few places are said, and reasons that are not known here as they are', async () => {
  const lines = [1, 2, 3, 4].map((line) => ({ line, message: `odd ${line}` }))
  const report = {
    ...{ rows: 9, records: 13, empty_lines: 0, ignored_fields: [], excluded: [] },
    split: { train_rows: 9, held_out_rows: 0, conversations: 9 },
    refused: [{ reason: 'of-a-later-version', count: 4, examples: lines }],
    flags: [
      { flag: 'secret', count: 2, examples: [{ line: 5 }, { line: 6 }] },
      { flag: 'duplicate', count: 4, examples: lines.map(({ line }) => ({ line: line + 6, first_line: 1 })) },
    ],
    feedback: { lessons: 5, used: 4, text_prompts: 2, left_out: [{ reason: 'gone', count: 1 }] },
  }
  const dataset = { id: 'a', name: 'facts', version: 1, kind: 'chat', source: 'upload', created_at: 'now', report }
  const { run } = await createScriptedCli({ 'GET /datasets/facts': dataset })
  const [, ...told] = (await run('datasets show facts')).output.trimEnd().split('\n')
  expect(told.slice(2)).toEqual([
    '9 of 13 records kept',
    '4 refused, of-a-later-version:',
    ...['  line 1: odd 1', '  line 2: odd 2', '  line 3: odd 3'],
    '2 flagged secret: lines 5, 6',
    '4 flagged duplicate: lines 7 (1), 8 (1), 9 (1)…',
    '4 of 5 lessons of the feedback used',
    '2 of them were prompts to be continued; they are learned as conversations.',
    '1 left out: answers that are not remembered',
  ])
})

test('an export that breaks off leaves no file, and one into a folder that is not there is refused', async () => {
  const breaksOff = () => {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(Buffer.from('{"messages":[]}\n')),
      pull: (controller) => controller.error(new Error('ECONNRESET')),
    })
    return new Response(body)
  }
  const { run, home } = await createScriptedCli({ 'GET /datasets/facts/export': breaksOff, 'GET /health': { status: 'ok' } })
  expect(await run(`datasets export facts --output ${home}/facts.jsonl`)).toMatchObject({
    code: 1,
    notes: expect.stringContaining('went away in the middle'),
  })
  expect(await readdir(home)).not.toContain('facts.jsonl')
  expect(await run(`datasets export facts --output ${home}/nowhere/facts.jsonl`)).toMatchObject({
    code: 1,
    notes: `There is no folder "${home}/nowhere".\n`,
  })
  expect(await run('datasets export facts --output /sys/facts.jsonl')).toMatchObject({
    code: 1,
    notes: expect.stringContaining('The folder /sys cannot be written'),
  })
})

test('what is wrong is said, and nothing is made', async () => {
  const { run, file } = await openWorld()
  for (const [line, words] of [
    ['datasets add nothing.jsonl', 'There is no file'],
    ['datasets add FILE --held-out many', '--held-out must be a number'],
    ['datasets add FILE --exclude all', '--exclude has "all"'],
    ['datasets add FILE --format odd', 'format'],
    ['datasets from-feedback x --method rlhf', '--method must be'],
    ['datasets from-feedback x --rating good', '--rating must be'],
    ['datasets show nothing', 'There is no dataset "nothing"'],
    ['datasets export nothing', 'There is no dataset "nothing"'],
  ] as const) {
    const { code, notes } = await run(line.replace('FILE', file))
    expect([line, code, notes]).toEqual([line, expect.toSatisfy((exit: number) => exit !== 0), expect.stringContaining(words)])
  }
  expect((await run('datasets')).notes).toBe('There are no datasets.\n')
})
