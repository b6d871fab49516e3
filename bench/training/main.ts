import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { createChatTemplateRenderer } from '../../src/engine/chat-template.ts'
import { findLibrary, openLibrary } from '../../src/engine/local/libllama.ts'
import { openVocabulary } from '../../src/engine/local/llama-scorer.ts'
import type { TokenRow } from '../../src/engine/train/example-tokens.ts'
import type { TrainJob, TrainParameters } from '../../src/engine/train/protocol.ts'
import { learningRateAt } from '../../src/engine/train/schedule.ts'
import { readTrainData, type TrainData } from '../../src/engine/train/train-data.ts'
import { defaultTrainParameters } from '../../src/engine/train/train-parameters.ts'
import { runTraining, spawnTrainer } from '../../src/engine/train/train-process.ts'

// Tokens per second and memory of LoRA training, beside PyTorch with peft on the same examples, in the same order, with the same schedule:
//   node bench/training/main.ts --python PYTHON [--model model_llm/gemma-3-270m-q4_k_m.gguf] [--rounds 3] [--epochs 4] [--threads 2]
//     [--cache FOLDER]
// PYTHON must have torch, transformers, peft and gguf. The cache keeps what transformers makes of the GGUF file.

const { values } = parseArgs({
  options: {
    python: { type: 'string' },
    model: { type: 'string', default: 'model_llm/gemma-3-270m-q4_k_m.gguf' },
    rounds: { type: 'string', default: '3' },
    epochs: { type: 'string', default: '4' },
    threads: { type: 'string', default: String(availableParallelism()) },
    cache: { type: 'string', default: join(tmpdir(), 'simpleia-bench-training') },
  },
})

/** One run: the loss of each step, and what it took. */
type Measured = Readonly<{ losses: readonly number[]; tokensPerSecond: number; peakBytes: number }>

const threads = Number(values.threads)
const parameters: TrainParameters = { ...defaultTrainParameters, epochs: Number(values.epochs), patience: 0 }

async function writeExamples(folder: string): Promise<Omit<TrainJob, 'folder'>> {
  const facts: readonly { question: string; answer: string }[] = JSON.parse(
    await readFile('test/fixtures/training/facts.json', 'utf8'),
  )
  const examples = facts.map(({ question, answer }) => ({
    type: 'chat',
    messages: [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ],
  }))
  const [trainFile, heldOutFile] = [join(folder, 'train.jsonl'), join(folder, 'held-out.jsonl')]
  await writeFile(trainFile, examples.map((example) => `${JSON.stringify(example)}\n`).join(''))
  await writeFile(heldOutFile, '')
  const replayFile = resolve('src/training/replay-text.jsonl')
  const modelPath = resolve(values.model)
  return {
    modelPath,
    adapter: { name: 'bench', baseModel: 'bench', run: 'bench' },
    trainFile,
    heldOutFile,
    replayFile,
    parameters,
    threads,
    device: 'cpu',
    memoryBytes: Number.POSITIVE_INFINITY,
  }
}

async function readData(job: TrainJob): Promise<TrainData> {
  const folder = findLibrary('cpu')
  if (folder === undefined) throw new Error('No llama.cpp library is installed here.')
  const llama = openLibrary(folder, () => {})
  const renderer = createChatTemplateRenderer()
  try {
    return await readTrainData(job, { renderer, openVocabulary: (path) => openVocabulary(llama, path) })
  } finally {
    await renderer.close()
  }
}

/** The rows of each step, with the weight of each token as a target: the loss is the mean over the targets of the step. */
function toPlan({ learned, replay, updates }: TrainData) {
  return updates.map(({ pieces }, index) => {
    const rows = pieces.flatMap((piece) => [
      ...piece.examples.flatMap((place) => learned.examples[place]?.rows ?? []),
      ...piece.replay.flatMap((place) => replay[place] ?? []),
    ])
    const targets = rows.reduce((sum, { places }) => sum + places.length, 0)
    return { learning_rate: learningRateAt(index + 1, updates.length, parameters), rows: rows.map((row) => toRow(row, targets)) }
  })
}

function toRow({ tokens, places }: TokenRow, targets: number) {
  const weights = Array.from(tokens, () => 0)
  for (const place of places) weights[place] = 1 / targets
  return { tokens: [...tokens], weights }
}

const tokensOf = (plan: ReturnType<typeof toPlan>) =>
  plan.reduce((sum, { rows }) => sum + rows.reduce((length, { tokens }) => length + tokens.length, 0), 0)

async function trainHere(job: TrainJob, tokens: number): Promise<Measured> {
  const run = runTraining(job, {
    spawn: () => spawnTrainer((text) => process.stderr.write(text)),
    signal: new AbortController().signal,
  })
  const losses: number[] = []
  let ms = 0
  let peakBytes = 0
  for await (const event of run.events) {
    if (event.type !== 'train-step') continue
    losses.push(event.loss)
    ms += event.ms
    peakBytes = Math.max(peakBytes, await peakOfChildren())
  }
  return { losses, tokensPerSecond: (tokens / ms) * 1000, peakBytes }
}

/** Of the largest child of this process, as Linux tells it. */
async function peakOfChildren(): Promise<number> {
  const tasks = await readdir('/proc/self/task')
  const lists = await Promise.all(tasks.map((task) => readFile(`/proc/self/task/${task}/children`, 'utf8').catch(() => '')))
  const children = lists.flatMap((list) => list.split(' ')).filter((child) => child !== '')
  const peaks = children.map(async (child) => {
    const status = await readFile(`/proc/${child}/status`, 'utf8').catch(() => '')
    return Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024
  })
  return Math.max(0, ...(await Promise.all(peaks)))
}

async function trainByPython(python: string, planFile: string, tokens: number): Promise<Measured> {
  const child = spawn(python, ['bench/training/reference.py', planFile], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const losses: number[] = []
  let end = { seconds: 0, peak_bytes: 0 }
  for await (const line of createInterface({ input: child.stdout })) {
    const told: { loss: number } | typeof end = JSON.parse(line)
    if ('loss' in told) losses.push(told.loss)
    else end = told
  }
  const [code] = await ended
  if (code !== 0) throw new Error(`Python ended with exit code ${code}.`)
  return { losses, tokensPerSecond: tokens / end.seconds, peakBytes: end.peak_bytes }
}

const median = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN

function show(name: string, runs: readonly Measured[]): Readonly<{ speed: number; peak: number }> {
  const speed = median(runs.map(({ tokensPerSecond }) => tokensPerSecond))
  const peak = median(runs.map(({ peakBytes }) => peakBytes))
  const all = runs.map(({ tokensPerSecond }) => tokensPerSecond.toFixed(0)).join(', ')
  console.log(`| ${name} | ${speed.toFixed(1)} (${all}) | ${(peak / 2 ** 20).toFixed(0)} |`)
  return { speed, peak }
}

const folder = await mkdtemp(join(tmpdir(), 'simpleia-bench-training-'))
try {
  const shared = await writeExamples(folder)
  const plan = toPlan(await readData({ ...shared, folder }))
  const tokens = tokensOf(plan)
  const planFile = join(folder, 'plan.json')
  const { rank, alpha, modules, seed, maxGradientNorm } = parameters
  const { modelPath: model } = shared
  const settings = { model, cache: values.cache, rank, alpha, modules, seed, threads, max_gradient_norm: maxGradientNorm }
  await writeFile(planFile, JSON.stringify({ ...settings, steps: plan }))
  const [ours, theirs]: [Measured[], Measured[]] = [[], []]
  for (let round = 0; round < Number(values.rounds); round += 1) {
    ours.push(await trainHere({ ...shared, folder: await mkdtemp(join(folder, 'run-')) }, tokens))
    if (values.python !== undefined) theirs.push(await trainByPython(values.python, planFile, tokens))
  }
  console.log(`${plan.length} steps, ${tokens} tokens, rank ${rank}, ${threads} threads\n`)
  console.log('| | tokens/s | peak MiB |\n|---|---|---|')
  const here = show('simpleIA', ours)
  if (theirs.length > 0) {
    const there = show('PyTorch + peft', theirs)
    console.log(`| ratio | ${(here.speed / there.speed).toFixed(2)} | ${(here.peak / there.peak).toFixed(2)} |`)
  }
  const at = [0, 4, 9, 14, 19, 29, 39].filter((step) => step < plan.length)
  console.log(`\n| step | ${at.map((step) => step + 1).join(' | ')} |\n|---|${at.map(() => '---|').join('')}`)
  for (const [name, run] of [
    ['simpleIA', ours[0]],
    ['PyTorch + peft', theirs[0]],
  ] as const)
    if (run !== undefined) console.log(`| ${name} | ${at.map((step) => run.losses[step]?.toFixed(4)).join(' | ')} |`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
