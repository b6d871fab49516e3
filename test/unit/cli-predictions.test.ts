import { expect, test } from 'vitest'
import { type Asked, createScriptedCli } from './cli-scripted.ts'
import { createServedCli } from './cli-world.ts'

type Sent = Readonly<{
  prediction_id: string
  rating: string
  correction: string | null
  text: string | null
  rejected_prediction_id: string | null
}>

/** All feedback, oldest first. */
async function sentOf(run: Awaited<ReturnType<typeof createServedCli>>['run']): Promise<Sent[]> {
  const { output } = await run('admin feedback --jsonl')
  const items = output
    .split('\n')
    .filter(Boolean)
    .map((line): Sent & { created_at: string } => JSON.parse(line))
  return items.toSorted((one, other) => one.created_at.localeCompare(other.created_at))
}

async function openChat(variables: Record<string, unknown> = {}) {
  const cli = await createServedCli({ pieces: ['Madird', '!'], ...variables })
  await cli.run('login root --register', 'a-long-password-of-root\n')
  return cli
}

test('/good and /bad rate the last answer, with what is said after them', async () => {
  const { run } = await openChat()
  const { code, notes } = await run('line', 'Capital?\n/bad misspelt\n/good\n')
  expect({ code, thanks: notes.match(/Thank you\./g)?.length }).toEqual({ code: 0, thanks: 2 })
  const sent = await sentOf(run)
  expect(sent.map(({ rating, text }) => [rating, text]).toSorted()).toEqual([
    ['down', 'misspelt'],
    ['up', null],
  ])
  const { output } = await run('predictions list')
  expect(output).toMatch(/^[0-9a-f-]{36}\t\S+\tsmall\t(?:up|down)\tCapital\?\tMadird!\n$/)
})

test('/fix corrects the last answer, and the conversation goes on from it', async () => {
  const { run, asked } = await openChat()
  const { code } = await run('line', 'Capital?\n/fix Madrid, of  course\nSure?\n')
  expect(code).toBe(0)
  expect(asked.at(-1)?.prompt).toMatchObject({
    messages: [{ content: 'Capital?' }, { role: 'assistant', content: 'Madrid, of  course' }, { content: 'Sure?' }],
  })
  expect(await sentOf(run)).toMatchObject([{ rating: 'down', correction: 'Madrid, of  course' }])
  expect((await run('admin feedback')).output).toMatch(/down\n {2}on [0-9a-f-]{36}\n {2}→ Madrid, of {2}course/)
  expect((await run('admin feedback --corrected --rating up')).notes).toContain('There is no feedback yet')
})

test('/again answers the same once more, and /keep says which is better', async () => {
  for (const which of ['1', '2'] as const) {
    const { run, asked } = await openChat()
    const { code, notes } = await run('line', `Capital?\n/again\n/keep ${which}\n`)
    expect({ code, notes }).toEqual({ code: 0, notes: expect.stringContaining('Which of the two do you keep?') })
    expect(asked[1]?.prompt).toEqual(asked[0]?.prompt)
    const [sent] = await sentOf(run)
    const listed = (await run('predictions list')).output.split('\n').filter(Boolean)
    expect(sent?.rating).toBe('up')
    expect(listed).toHaveLength(2)
    const rated = listed.filter((line) => line.includes('\tup\t')).map((line) => line.split('\t')[0])
    expect(rated).toEqual([sent?.prediction_id])
    // The newest is first.
    expect(listed[which === '1' ? 1 : 0]).toContain(sent?.prediction_id)
    expect(sent?.rejected_prediction_id).not.toBe(sent?.prediction_id)
    expect((await run('admin feedback')).output).toContain(`${sent?.prediction_id} kept over ${sent?.rejected_prediction_id}`)
  }
})

test('what cannot be done is told, in Spanish too, and makes the exit code 1', async () => {
  const { run } = await createServedCli({ LANG: 'es_ES.UTF-8' })
  const { code, notes } = await run('line', '/good\nHola\n/keep 1\n/fix\n/again\n/keep 3\n')
  expect(code).toBe(1)
  for (const text of [
    'Todavía no hay ninguna respuesta',
    '/keep va después de /again',
    'la respuesta entera: /fix',
    '¿Con cuál de las dos',
  ])
    expect(notes).toContain(text)
})

test('where nothing is remembered, it says that nothing is learned', async () => {
  const { run } = await createServedCli({ service: { STORE_PREDICTIONS: 'false' } })
  expect((await run('line', 'Hi\n/good\n')).notes).toContain('this answer is not remembered')
})

test('predictions are shown, switched off and on, and deleted', async () => {
  const { run } = await openChat()
  expect((await run('predictions')).notes).toContain('No answer to you is remembered')
  await run('line', 'Capital?\n')
  const [id] = (await run('predictions list')).output.split('\t')
  expect((await run(`predictions show ${id}`)).output).toBe('Question:\nuser: Capital?\n\nAnswer:\nMadird!\n\n')
  expect(JSON.parse((await run(`predictions show ${id} --json`)).output)).toMatchObject({ id })
  expect((await run('predictions off')).notes).toContain('are not remembered')
  await run('line', 'Secret\n')
  expect(JSON.parse((await run('predictions list --json')).output)).toHaveLength(1)
  expect((await run('predictions on')).notes).toBe('Answers to you are remembered.\nThose without feedback go after 90 days.\n')
  expect(await run('predictions delete')).toMatchObject({ code: 2, notes: expect.stringContaining('--all') })
  expect((await run(`predictions delete ${id}`)).notes).toContain('Forgotten: 1')
  expect((await run(`predictions show ${id}`)).code).toBe(1)
  expect((await run('predictions delete --all')).notes).toContain('Forgotten: 0')
})

const prediction = {
  ...{ id: 'p1', created_at: '2026-01-01T00:00:00.000Z', provider: 'hf', model: 'small', ran_on: 'local', rollout_id: null },
  ...{
    rating: null,
    choices: [
      { index: 0, text: 'One\u001b[2J' },
      { index: 1, text: 'Two' },
    ],
    parameters: {},
    user: 'user:1',
  },
}

test('what was asked is shown whether it was a text or a conversation, with every answer to it', async () => {
  const { run } = await createScriptedCli({
    'GET /predictions/text': { ...prediction, prompt: { type: 'text', text: 'Go on: ' } },
    'GET /predictions/none': { ...prediction, prompt: { type: 'chat' } },
  })
  expect(await run('predictions show text')).toEqual({
    ...{ code: 0, notes: '2026-01-01T00:00:00.000Z  hf  small  local  -\n' },
    output: 'Question:\nGo on: \n\nAnswer:\nOne[2J\n\nAnswer:\nTwo\n\n',
  })
  expect((await run('predictions show none')).output).toMatch(/^Question:\n\n\nAnswer:\n/)
})

test('lists are filtered by the service, and a service that remembers nobody is named', async () => {
  const item = { ...prediction, question: 'a\tb', answer: 'x'.repeat(100) }
  const { run, asked } = await createScriptedCli({
    'GET /predictions': { items: [item], next_cursor: null },
    'PUT /predictions/settings': { store: true, service_stores: false, retention_days: 90 },
  })
  expect((await run('predictions list --rating up --model small --from 2026-01-01')).output).toBe(
    `p1\t2026-01-01T00:00:00.000Z\tsmall\t-\ta b\t${'x'.repeat(80)}\n`,
  )
  expect(Object.fromEntries(asked[0]?.query ?? [])).toEqual({ limit: '200', rating: 'up', model: 'small', from: '2026-01-01' })
  expect((await run('predictions on')).notes).toMatch(/^Answers to you are remembered\.\nThis service remembers nobody .*\n$/)
})

test('feedback is shown with all that belongs to it, and exported whole', async () => {
  const whole = {
    ...{ created_at: '2026-01-01T00:00:00.000Z', rating: 'up', text: 'Good.', correction: null, tags: ['tone', 'facts'] },
    ...{ prediction_id: 'p1', rejected_prediction_id: null },
  }
  const lines = Array.from({ length: 20_000 }, (_, at) => `{"text":"number ${at}"}\n`)
  const pieces = [lines.slice(0, 10_000), lines.slice(10_000)].map((part) => new TextEncoder().encode(part.join('')))
  const { run } = await createScriptedCli({
    'GET /feedback': ({ query }: Asked) =>
      query.has('format')
        ? new Response(ReadableStream.from(pieces))
        : { items: [whole, { ...whole, rating: null, tags: [], prediction_id: null }], next_cursor: null },
  })
  expect((await run('admin feedback')).output).toBe(
    '2026-01-01T00:00:00.000Z  up  #tone  #facts\n  on p1\n  Good.\n\n2026-01-01T00:00:00.000Z\n  Good.\n\n',
  )
  expect((await run('admin feedback --jsonl')).output).toBe(lines.join(''))
})
