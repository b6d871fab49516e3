import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { speakOfDocsEval } from '../../src/cli/docs-eval-messages.ts'
import { formatEvaluations } from '../../src/cli/docs-eval-report.ts'
import { evaluate } from '../../src/rag/evaluate.ts'
import { parseQuestions } from '../../src/rag/question-set.ts'
import { type Asked as Call, createScriptedCli, refuse } from './cli-scripted.ts'
import { createCli } from './cli-world.ts'

type Asked = Readonly<{ question: string; k: number; mode: string; answer: boolean; collection?: string }>
type Given = Readonly<{ status?: number; headers?: Record<string, string>; body: unknown }>

/** A service that answers /rag/query, and other addresses with what is given for them; and what it was asked. */
async function startService(reply: (asked: Asked, count: number) => Given, others: Record<string, Given> = {}) {
  const asked: Asked[] = []
  const server = createServer(async (request, response) => {
    const body = request.method === 'POST' ? ((await json(request)) as Asked) : undefined
    if (request.url === '/rag/query' && body !== undefined) asked.push(body)
    const missing: Given = { status: 404, body: { error: { code: 'not_found', message: request.url } } }
    const {
      status = 200,
      headers = {},
      body: answer,
    } = request.url === '/rag/query' && body !== undefined ? reply(body, asked.length) : (others[request.url ?? ''] ?? missing)
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { asked, port: (server.address() as AddressInfo).port }
}

const sources = (...names: string[]) => names.map((source, index) => ({ number: index + 1, source, document: source, text: '' }))
const found = (...names: string[]): Given => ({
  body: { answer: '', abstained: false, citations: [], sources: sources(...names) },
})

const questionSet = [
  { id: 'a', question: 'Where is a?', relevant: ['a.md'], split: 'dev' },
  { id: 'b', question: 'Where is b?', relevant: ['b.md'], split: 'test' },
]

async function createEvalCli(reply: (asked: Asked, count: number) => Given, variables: Record<string, string> = {}) {
  const service = await startService(reply)
  const cli = await createCli({ PORT: String(service.port), ...variables })
  const file = join(cli.home, 'questions.jsonl')
  await writeFile(file, questionSet.map((one) => `${JSON.stringify(one)}\n`).join(''))
  return { ...cli, ...service, file }
}

/** Hybrid finds both documents, vectors only the first, words none. */
const byMode = ({ mode, question }: Asked) =>
  mode === 'hybrid' || (mode === 'vector' && question.includes(' a')) ? found('x.md', 'docs/a.md', 'docs/b.md') : found('x.md')

test('the modes stand side by side, with how the first compares with the others', async () => {
  const { run, file, asked } = await createEvalCli(byMode)
  const { code, output } = await run(`docs eval --questions ${file} --collection help`)
  expect(code).toBe(0)
  expect(output).toMatch(/ hybrid +vector +words\n/)
  expect(output).toMatch(/questions +2 +2 +2\n/)
  expect(output).toMatch(/recall@1 +0\.0 % \S+ +0\.0 % \S+ +0\.0 %/)
  expect(output).toMatch(/recall@5 +100\.0 % \(100–100\) +50\.0 % \(0–100\) +0\.0 % \(0–0\)\n/)
  expect(output).toMatch(/MRR@10 +0\.417 +0\.250 +0\.000\n/)
  expect(output).toMatch(/recall@5, hybrid against vector: \+50\.0 points \(95 %: 0\.0 to \+100\.0\)/)
  expect(asked).toHaveLength(6)
  expect(asked[0]).toEqual({ question: 'Where is a?', k: 10, mode: 'hybrid', answer: false, collection: 'help', store: false })
})

test('answers are judged by what they cite', async () => {
  const { run, file, asked } = await createEvalCli(({ question }) => ({
    body: {
      answer: 'So [1][2].',
      abstained: question.includes(' b'),
      citations: [{ number: 1 }, { number: 2 }],
      sources: sources('x.md', 'a.md'),
    },
  }))
  const { output } = await run(`docs eval --questions ${file} --modes hybrid --answer`)
  expect(output).toMatch(/answered +50\.0 %\n.*do not tell +50\.0 %\n.*with a citation +100\.0 %\n.*right document +50\.0 %\n/)
  expect(output).not.toContain('against')
  expect(asked[0]).toMatchObject({ k: 5, answer: true })
})

test('a part of the questions can be chosen, and the whole result goes into a file', async () => {
  const { run, file, home, asked } = await createEvalCli(byMode)
  const output = join(home, 'result.json')
  const result = await run(`docs eval --questions ${file} --split test --modes vector,words --k 3 --output ${output} --json`)
  const report = JSON.parse(await readFile(output, 'utf8'))
  expect(JSON.parse(result.output)).toEqual(report)
  expect(report).toMatchObject({ split: 'test', k: 3, modes: { vector: { recall: { 3: { mean: 0 } } } } })
  expect(report.modes.words.questions).toMatchObject([{ id: 'b', sources: ['x.md'], rank: null }])
  expect(asked.map(({ k }) => k)).toEqual([3, 3])
})

test('a result that cannot be written is shown all the same', async () => {
  const { run, file, home } = await createEvalCli(byMode)
  const { code, output, notes } = await run(
    `docs eval --questions ${file} --modes words --json --output ${home}/nowhere/result.json`,
  )
  expect([code, notes]).toEqual([1, expect.stringContaining(`${home}/nowhere/result.json cannot be written`)])
  expect(JSON.parse(output)).toMatchObject({ k: 10, modes: { words: {} } })
})

test('a service that has had too many requests is asked again when it said', async () => {
  const { run, file, asked } = await createEvalCli((body, count) =>
    count === 1
      ? { status: 429, headers: { 'retry-after': '0' }, body: { error: { code: 'rate_limited', message: 'Too many.' } } }
      : byMode(body),
  )
  const { code, notes } = await run(`docs eval --questions ${file} --modes hybrid`)
  expect(code).toBe(0)
  expect(asked).toHaveLength(3)
  expect(notes).toContain('RATE_LIMIT_REQUESTS')
})

test('what is wrong is said in the language of the person', async () => {
  const { run, file, home } = await createEvalCli(() => found(), { LANG: 'es_ES.UTF-8' })
  expect(await run('docs eval')).toMatchObject({ code: 1, notes: expect.stringContaining('--make N') })
  expect((await run(`docs eval --questions ${file} --modes words,magic`)).notes).toMatch(
    /No existe el modo "magic".*hybrid, vector, words/,
  )
  expect((await run(`docs eval --questions ${file} --k 0`)).notes).toMatch(/--k debe ser .* de 1 a 50.*"0"/)
  expect((await run(`docs eval --questions ${file} --split none`)).notes).toContain('"none"')
  expect((await run('docs eval --questions nowhere.jsonl')).notes).toMatch(/No se puede leer .*nowhere/)
  await writeFile(join(home, 'bad.jsonl'), 'nonsense')
  expect((await run(`docs eval --questions ${home}/bad.jsonl`)).notes).toContain('Line 1')
})

const page = { id: 'd1', name: 'Tides', source: 'guide/tides.md' }
const second = { id: 'd2', name: 'Short', source: 'short.md' }
const text = 'High water comes about every twelve hours and twenty-five minutes. The moon draws it to her side.'
const collection = {
  '/rag/documents?collection=sea&limit=200': { body: { documents: [page], next_after: 'd1' } },
  '/rag/documents?collection=sea&after=d1&limit=200': { body: { documents: [second], next_after: null } },
  '/rag/documents/d1?chunks=true&from=0&limit=200': { body: { ...page, chunks: [{ text, section: 'Tides > When it is high' }] } },
  '/rag/documents/d2?chunks=true&from=0&limit=200': { body: { ...second, chunks: [{ text: 'Short.' }] } },
}
const writes = (line: string): Given => ({ body: { choices: [{ index: 0, text: line, finish_reason: 'stop' }] } })

async function makeWith(others: Record<string, Given>) {
  const { port } = await startService(() => found(), others)
  const cli = await createCli({ PORT: String(port) })
  const file = join(cli.home, 'made.jsonl')
  const make = () => cli.run(`docs eval --make 5 --collection sea --output ${file}`)
  return { make, read: async () => parseQuestions(await readFile(file, 'utf8')) }
}

test('questions are made of the documents that say something, by the model', async () => {
  const { make, read } = await makeWith({ ...collection, '/predict': writes(' How often does high water come?') })
  expect(await make()).toMatchObject({
    code: 0,
    notes: expect.stringMatching(/^1 questions are in .*\(1 by the model, 0 by rule\)/),
  })
  expect(await read()).toEqual([
    { id: '1', question: 'How often does high water come?', relevant: ['guide/tides.md'], made_by: 'model' },
  ])
})

test('without a model the headings are the questions, and a file that is there stays', async () => {
  const { make, read } = await makeWith({
    ...collection,
    '/predict': { status: 503, body: { error: { code: 'unavailable', message: 'No model.' } } },
  })
  expect((await make()).code).toBe(0)
  expect(await read()).toMatchObject([{ question: 'When it is high', made_by: 'rule' }])
  expect(await make()).toMatchObject({ code: 1, notes: expect.stringContaining('there already') })
})

test('a collection without documents makes no questions', async () => {
  const { make } = await makeWith({ '/rag/documents?collection=sea&limit=200': { body: { documents: [], next_after: null } } })
  expect(await make()).toMatchObject({ code: 1, notes: expect.stringContaining('"sea" holds no documents') })
})

/** A collection of so many documents that say something, and a model that writes questions by `predict`. */
async function createMaker(
  count: number,
  predict: (call: Call) => object,
  options: Parameters<typeof createScriptedCli>[1] = {},
) {
  const documents = Array.from({ length: count }, (_, at) => ({ id: `d${at}`, name: `Document ${at}`, source: `${at}.md` }))
  const chunks = Array.from({ length: 200 }, (_, position) => ({
    position,
    text: position < 50 ? text : 'Never read. '.repeat(20),
  }))
  const cli = await createScriptedCli(
    {
      'GET /rag/documents': { documents, next_after: null },
      ...Object.fromEntries(documents.map((one) => [`GET /rag/documents/${one.id}`, { ...one, chunks }])),
      'POST /predict': predict,
    },
    options,
  )
  const file = join(cli.home, 'made.jsonl')
  const asked = () => cli.asked.filter(({ path }) => path === '/predict').map(({ body }) => Reflect.get(Object(body), 'prompt'))
  return { ...cli, file, prompts: asked, read: async () => parseQuestions(await readFile(file, 'utf8')) }
}
const choice = { choices: [{ index: 0, text: 'How often does high water come?', finish_reason: 'stop' }] }

test('as many questions are made as were asked for, about the beginning of each document, and a person sees how far', async () => {
  const { run, file, read, prompts } = await createMaker(4, () => choice, { isPerson: true })
  const { notes } = await run(`docs eval --make 2 --output ${file}`)
  expect(notes.split('\r\u001b[K')).toEqual([
    ...['', 'Making question 1 of 2', 'Making question 2 of 2', expect.stringContaining('2 questions are in')],
  ])
  expect((await read()).map(({ made_by }) => made_by)).toEqual(['model', 'model'])
  expect(prompts().join()).not.toContain('Never read')
})

test('a model that is missing is asked once, and one that wants to wait is waited for', async () => {
  const missing = await createMaker(3, () => refuse(503, { code: 'unavailable', message: 'No model.' }))
  await missing.run(`docs eval --make 3 --output ${missing.file}`)
  expect((await missing.read()).map(({ made_by }) => made_by)).toEqual(['rule', 'rule', 'rule'])
  expect(missing.prompts()).toHaveLength(1)
  const answers = [refuse(429, { code: 'rate_limited', message: 'Too many.' }, { 'retry-after': '0' }), choice]
  const waiting = await createMaker(1, () => answers.shift() ?? choice)
  expect((await waiting.run(`docs eval --make 1 --output ${waiting.file}`)).notes).toContain('RATE_LIMIT_REQUESTS')
  expect(await waiting.read()).toMatchObject([{ made_by: 'model' }])
})

test('what keeps questions from being made is told, and leaves no file', async () => {
  const { run, file, read, home } = await createMaker(1, () => refuse(403, { code: 'forbidden', message: 'Not for you.' }))
  expect(await run(`docs eval --make 1 --output ${file}`)).toMatchObject({ code: 1, notes: 'Not for you.\n' })
  await expect(read()).rejects.toThrow('ENOENT')
  const empty = await createScriptedCli({ 'GET /rag/documents': { documents: [], next_after: null } })
  expect((await empty.run('docs eval --make 1')).notes).toBe('The collection "default" holds no documents.\n')
  const { run: make, prompts } = await createMaker(1, () => choice)
  expect(await make(`docs eval --make 1 --output ${home}/nowhere/made.jsonl`)).toMatchObject({
    code: 1,
    notes: expect.stringContaining('cannot be written'),
  })
  expect(prompts()).toEqual([])
})

test('a person sees how far the questions are, and answers without a citation have no share of right ones', async () => {
  const body = { answer: 'So.', abstained: false, citations: [], sources: sources('x.md', 'a.md') }
  const { run, home } = await createScriptedCli({ 'POST /rag/query': body }, { isPerson: true })
  const file = join(home, 'questions.jsonl')
  await writeFile(file, questionSet.map((one) => `${JSON.stringify(one)}\n`).join(''))
  const { output, notes } = await run(`docs eval --questions ${file} --modes words --answer --output ${home}/result.json`)
  expect(notes.split('\r\u001b[K')).toEqual(['', 'words: question 1 of 2', `Written: ${home}/result.json\n`])
  expect(output).toMatch(/answers with a citation +0\.0 %\ncitations of a right document +–\n/)
  expect(JSON.parse(await readFile(`${home}/result.json`, 'utf8')).modes.words.answers.citation_precision).toBeNull()
})

test('what one mode has and another lacks is a dash, and the comparison is at what the first has', async () => {
  const reply = { sources: sources('a.md'), seconds: 1, answer: { text: 'So [1].', abstained: false, citations: [1] } }
  const questions = [{ id: 'a', question: 'Where?', relevant: ['a.md'] }]
  const signal = new AbortController().signal
  const one = await evaluate(questions, { ask: async () => reply, k: 1 }, signal)
  const other = await evaluate(questions, { ask: async () => ({ sources: [], seconds: 1 }), k: 5 }, signal)
  const say = speakOfDocsEval('en')
  const lines = formatEvaluations(
    new Map([
      ['words', one],
      ['hybrid', other],
    ]),
    'en',
    say,
  ).map((line) => line.split(/ {2,}/))
  expect(lines).toContainEqual(['recall@1', '100.0 % (100–100)', '0.0 % (0–0)'])
  expect(lines).toContainEqual(['recall@5', '–', '0.0 % (0–0)'])
  expect(lines).toContainEqual(['answered', '100.0 %', '–'])
  expect(lines.at(-1)).toEqual(['recall@1, words against hybrid: +100.0 points (95 %: +100.0 to +100.0)'])
})
