import { parseArgs } from 'node:util'
import { decimal } from '../../src/config/kinds.ts'
import { learningRateSchedules } from '../../src/engine/train/protocol.ts'
import type { NewRunBody } from '../../src/training/schema.ts'
import { describeMachine, formatAbout } from '../machine.ts'
import { readFacts } from './facts.ts'
import { type LoopResult, runLoop } from './loop.ts'
import { runPreferences } from './preferences.ts'
import { type Report, reportLoop, reportPreferences, reportYielding } from './report.ts'
import { openService } from './service.ts'
import { runYielding } from './yielding.ts'

// Whether a model learns from its users, as they do it, over HTTP. Writes a table as Markdown; exit code 1: a target is missed.
//   node bench/learning/main.ts [loop|preferences|yielding] [--seeds 1,2,3] [--model FILE] [--held-out 0] [--chats 40] [--pause-ms 800]
//     [--epochs N] [--batch-size N] [--learning-rate N] [--rank N] [--schedule NAME] …: parameters of the run, else those of the product

const numberFlags = {
  epochs: 'epochs',
  'batch-size': 'batch_size',
  accumulation: 'accumulation',
  'learning-rate': 'learning_rate',
  warmup: 'warmup',
  rank: 'rank',
  alpha: 'alpha',
  dropout: 'dropout',
  'max-length': 'max_length',
  'weight-decay': 'weight_decay',
  patience: 'patience',
  beta: 'beta',
  replay: 'replay',
} as const
const parameterOptions = Object.fromEntries(Object.keys(numberFlags).map((name) => [name, { type: 'string' }] as const))

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ...parameterOptions,
    schedule: { type: 'string' },
    'no-packing': { type: 'boolean' },
    seeds: { type: 'string', default: '1,2,3' },
    model: { type: 'string', default: 'model_llm/gemma-3-270m-q4_k_m.gguf' },
    'held-out': { type: 'string', default: '0' },
    chats: { type: 'string', default: '40' },
    'pause-ms': { type: 'string', default: '800' },
  },
})

const anyNumber = decimal({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
function numberOf(flag: string, text: unknown): number {
  const number = anyNumber.parse(String(text))
  if (number === undefined) throw new Error(`--${flag} must be a number, but is "${text}".`)
  return number
}

function readRecipe(): NewRunBody {
  const given: Readonly<Record<string, unknown>> = values
  const numbers = Object.entries(numberFlags).flatMap(([flag, field]) =>
    given[flag] === undefined ? [] : [[field, numberOf(flag, given[flag])]],
  )
  const schedule = learningRateSchedules.find((name) => name === values.schedule)
  if (values.schedule !== undefined && schedule === undefined)
    throw new Error(`--schedule must be one of ${learningRateSchedules.join(', ')}, but is "${values.schedule}".`)
  return {
    ...Object.fromEntries(numbers),
    ...(schedule === undefined ? {} : { schedule }),
    ...(values['no-packing'] === true ? { packs: false } : {}),
  }
}

async function withOwnService<T>(work: (service: Awaited<ReturnType<typeof openService>>) => Promise<T>): Promise<T> {
  const service = await openService(values.model)
  try {
    return await work(service)
  } finally {
    await service.close()
  }
}

const tell = (line: string) => process.stderr.write(`${line}\n`)

/** Each seed has a service of its own: nothing that one has learned is there for the next. */
async function measureLoop(recipe: NewRunBody): Promise<Report> {
  const facts = await readFacts()
  const heldOut = numberOf('held-out', values['held-out'])
  const results: LoopResult[] = []
  for (const text of values.seeds.split(',')) {
    const options = { seed: numberOf('seeds', text), heldOut, recipe, tell }
    results.push(await withOwnService((service) => runLoop(service, facts, options)))
  }
  return reportLoop(results)
}

async function measure(mode: string, recipe: NewRunBody): Promise<Report> {
  switch (mode) {
    case 'loop':
      return measureLoop(recipe)
    case 'preferences':
      return reportPreferences(await withOwnService((service) => runPreferences(service, recipe)))
    case 'yielding': {
      const options = { chats: numberOf('chats', values.chats), pauseMs: numberOf('pause-ms', values['pause-ms']), recipe }
      const facts = await readFacts()
      return reportYielding(await withOwnService((service) => runYielding(service, facts, options)))
    }
    default:
      throw new Error(`What is measured must be loop, preferences or yielding, but is "${mode}".`)
  }
}

const recipe = readRecipe()
const { markdown, targets } = await measure(positionals[0] ?? 'loop', recipe)
const about = formatAbout({ version: 'bench', node: process.version, machine: describeMachine(), date: new Date() })
const asked = Object.entries(recipe).map(([name, value]) => `${name} ${value}`)
process.stdout.write(`${about}\nParameters: ${asked.join(', ') || 'those of the product'}\n\n${markdown}\n\n`)
for (const { name, isMet } of targets) process.stdout.write(`- ${isMet ? 'met' : '**missed**'}: ${name}\n`)
process.exitCode = targets.every(({ isMet }) => isMet) ? 0 : 1
