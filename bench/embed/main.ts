import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { convertBert } from '../../src/models/convert/convert-bert.ts'
import { freePort } from '../../test/free-port.ts'

import { createOwnEnvironment, ownServer } from '../own-server.ts'
import { rotate } from '../statistics.ts'
import { formatTable, type Measured } from './table.ts'
import { randomTexts } from './texts.ts'

// Texts per second that become vectors, through HTTP, beside llama-server and sentence-transformers on the same machine:
//   node bench/embed/main.ts [--llama LLAMA_SERVER] [--python PYTHON] [--rounds 5] [--seconds 1] [--threads 2]
//     [--texts 1,8,64] [--tokens 32,200] [--models-dir model_llm] [--quantization F16]
// Without --llama or --python only ours is measured. PYTHON must have sentence-transformers.

const { values } = parseArgs({
  options: {
    llama: { type: 'string' },
    python: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    threads: { type: 'string', default: String(availableParallelism()) },
    texts: { type: 'string', default: '1,8,64' },
    tokens: { type: 'string', default: '32,200' },
    'models-dir': { type: 'string', default: 'model_llm' },
    quantization: { type: 'string', default: 'F16' },
  },
})
const checkpoint = join(values['models-dir'], '.checkpoints/sentence-transformers/all-MiniLM-L6-v2')
const numbers = (list: string) => list.split(',').map(Number)

type Encoded = Readonly<{ vectors: readonly number[][]; milliseconds: number }>

/** Something that turns texts into vectors. Its time is that until the answer is read, or where there is no server its own. */
type Target = Readonly<{ name: string; encode(texts: readonly string[]): Promise<Encoded>; close(): Promise<void> }>

async function timed(answer: Promise<unknown>, read: (answer: unknown) => number[][]): Promise<Encoded> {
  const startedAt = performance.now()
  const body = await answer
  const milliseconds = performance.now() - startedAt
  return { vectors: read(body), milliseconds }
}

function start(command: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...environment }, stdio: ['pipe', 'pipe', 'pipe'] })
  const ended = once(child, 'exit')
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-2000)
  })
  return {
    child,
    errors: () => errors,
    async close() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

async function post(url: string, body: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${text.slice(0, 500)}`)
  return JSON.parse(text)
}

async function untilUp(work: () => Promise<unknown>, errors: () => string): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      return void (await work())
    } catch (error) {
      if (tries > 300) throw new Error(`A server did not answer. ${errors()}`, { cause: error })
      await setTimeout(100)
    }
  }
}

/** What the answers hold, looked at without trust only where they are compared. */
const rowsOf = (answer: unknown, list: string, field: string | undefined): number[][] => {
  const rows: unknown = list === '' ? answer : Object(answer)[list]
  if (!Array.isArray(rows)) throw new Error('An answer holds no vectors.')
  return rows.map((row: unknown) => {
    const vector: unknown = field === undefined ? row : Object(row)[field]
    if (typeof vector === 'string') return [...new Float32Array(new Uint8Array(Buffer.from(vector, 'base64')).buffer)]
    return Array.isArray(vector) ? (Array.isArray(vector[0]) ? vector[0] : vector) : []
  })
}

async function openOurs(): Promise<readonly Target[]> {
  const { environment, close } = await createOwnEnvironment(undefined)
  const port = await freePort()
  const program = start('/bin/sh', ['-c', `exec ${ownServer.command}`], {
    ...environment,
    PORT: String(port),
    MODELS_DIR: values['models-dir'],
    DEFAULT_MODEL: 'none',
    THREADS: values.threads,
  })
  const url = `http://127.0.0.1:${port}`
  const encode = (texts: readonly string[]) =>
    timed(post(`${url}/embed/encode`, { texts }), (answer) => rowsOf(answer, 'embeddings', undefined))
  await untilUp(() => encode(['hello']), program.errors)
  const asOpenai = (texts: readonly string[]) => {
    const body = { model: 'all-MiniLM-L6-v2', input: texts, encoding_format: 'base64' }
    return timed(post(`${url}/v1/embeddings`, body), (answer) => rowsOf(answer, 'data', 'embedding'))
  }
  return [
    {
      name: 'simpleia /embed/encode',
      encode,
      async close() {
        await program.close()
        await close()
      },
    },
    { name: 'simpleia /v1/embeddings', encode: asOpenai, close: async () => {} },
  ]
}

async function openLlamaServer(command: string, folder: string): Promise<Target> {
  const gguf = join(folder, 'model.gguf')
  const outputType = values.quantization === 'F32' ? 'F32' : 'F16'
  await convertBert({ folder: checkpoint, ggufTarget: gguf, outputType, report: () => {} })
  const port = await freePort()
  // Its usual batch and slots: with larger ones it is slower here, by half for many long texts.
  const size = ['-c', '2048', '-b', '2048', '-ub', '512', '-np', '4', '-kvu']
  const args = ['-m', gguf, '--embeddings', '-t', values.threads, '-tb', values.threads, ...size, '--port', String(port)]
  const program = start(command, args)
  program.child.stdout.resume()
  const url = `http://127.0.0.1:${port}/embedding`
  const encode = (texts: readonly string[]) => timed(post(url, { content: texts }), (answer) => rowsOf(answer, '', 'embedding'))
  await untilUp(() => encode(['hello']), program.errors)
  return { name: `llama-server ${outputType}`, encode, close: program.close }
}

async function openSentenceTransformers(python: string): Promise<Target> {
  const script = new URL('./reference.py', import.meta.url).pathname
  const program = start(python, [script, checkpoint, values.threads])
  const lines = createInterface({ input: program.child.stdout })[Symbol.asyncIterator]()
  const encode = async (texts: readonly string[]) => {
    program.child.stdin.write(`${JSON.stringify(texts)}\n`)
    const { value } = await lines.next()
    if (typeof value !== 'string') throw new Error(`Python ended. ${program.errors()}`)
    const answer: unknown = JSON.parse(value)
    return { vectors: rowsOf(answer, 'vectors', undefined), milliseconds: Number(Object(answer).milliseconds) }
  }
  await encode(['hello'])
  return { name: 'sentence-transformers', encode, close: program.close }
}

/** Texts per second. */
async function measure(target: Target, count: number, tokens: number): Promise<number> {
  const end = performance.now() + Number(values.seconds) * 1000
  let texts = 0
  let milliseconds = 0
  do {
    milliseconds += (await target.encode(randomTexts(count, tokens))).milliseconds
    texts += count
  } while (performance.now() < end)
  return (texts / milliseconds) * 1000
}

function leastCosine(one: readonly number[][], other: readonly number[][]): number {
  const cosines = one.map((vector, index) => {
    const against = other[index] ?? []
    const dot = vector.reduce((sum, value, at) => sum + value * (against[at] ?? 0), 0)
    return dot / (Math.hypot(...vector) * Math.hypot(...against))
  })
  return Math.min(...cosines)
}

const folder = await mkdtemp(join(tmpdir(), 'simpleia-embed-bench-'))
const targets: Target[] = []
try {
  targets.push(...(await openOurs()))
  if (values.llama !== undefined) targets.push(await openLlamaServer(values.llama, folder))
  if (values.python !== undefined) targets.push(await openSentenceTransformers(values.python))
  const sample = randomTexts(16, 60)
  const reference = await targets.at(-1)?.encode(sample)
  for (const target of targets) {
    const cosine = leastCosine((await target.encode(sample)).vectors, reference?.vectors ?? [])
    process.stdout.write(`${target.name}: least cosine to ${targets.at(-1)?.name} ${cosine.toFixed(7)}\n`)
  }
  const cells = numbers(values.tokens).flatMap((tokens) => numbers(values.texts).map((texts) => ({ texts, tokens })))
  const measured: Measured[] = []
  for (const target of targets) for (const { texts, tokens } of cells) await target.encode(randomTexts(texts, tokens))
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const cell of cells) {
      for (const target of rotate(targets, round)) {
        measured.push({ ...cell, target: target.name, textsPerSecond: await measure(target, cell.texts, cell.tokens) })
      }
    }
    process.stderr.write('.')
  }
  process.stdout.write(
    `\n${formatTable(
      targets.map(({ name }) => name),
      cells,
      measured,
    )}\n`,
  )
} finally {
  for (const target of targets) await target.close()
  await rm(folder, { recursive: true, force: true })
}
