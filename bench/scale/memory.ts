import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { ProcessMemory, Sample } from '../soak/memory.ts'
import { percentile, sum } from '../statistics.ts'
import { type Environment, type Service, startReal, startScripted } from './services.ts'
import type { Cell, Table } from './tables.ts'
import { mebibyte, type Part, passagesOf, type World } from './world.ts'

/** Until what a start leaves behind has been collected. */
const settleMs = 1500

/** What the service takes with nothing to do, with a model, for its context, and for who listens; and how long it takes to start. */
export const measureMemory: Part = async function* (world) {
  const rows: Row[] = []
  const starts: Row[] = []
  const { modelFile } = world
  await using stack = new AsyncDisposableStack()
  const empty = stack.adopt(await mkdtemp(join(tmpdir(), 'simpleia-scale-')), (path) => rm(path, { recursive: true }))
  world.note('memory: without a model')
  await withService({ MODELS_DIR: empty }, false, async (service) => {
    rows.push(['The service without a model', ...totals(await settled(service))])
    starts.push(['Without a model', service.listeningMs, undefined])
  })
  const memory = (): Table => ({ name: 'memory', columns: ['', 'MiB in memory', 'of these in no file'], rows: [...rows] })
  yield memory()
  if (modelFile !== undefined) {
    const own = { MODELS_DIR: world.modelsDir, DEFAULT_MODEL: modelFile }
    world.note('memory: with a model')
    await withService(own, true, async (service) => {
      await answerOnce(service)
      const sample = await settled(service)
      rows.push(['… with a small model', ...totals(sample)])
      rows.push(["of these, the model's process", ...totals(sample, isEngine)])
      if (world.isQuick) starts.push(['With a small model', service.listeningMs, service.readyMs])
    })
    yield memory()
    if (!world.isQuick) {
      starts.push(['With a small model', ...(await medianStart(world, own))])
      for await (const row of measureContexts(world, own)) {
        rows.push(row)
        yield memory()
      }
      rows.push(await measureEmbedding(world))
      yield memory()
    }
  }
  yield { name: 'start', columns: ['ms from the start of the process', 'until it listens', 'until it answers'], rows: starts }
  yield await measureStreams(world)
}

type Row = readonly [string, ...Cell[]]

const isEngine = ({ program }: ProcessMemory) => program === 'worker'

async function* measureContexts({ note }: World, own: Environment): AsyncGenerator<Row> {
  const wanted: readonly Environment[] = [
    { MAX_PARALLEL: '1', CONTEXT_SIZE: '4096' },
    { MAX_PARALLEL: '16', CONTEXT_SIZE: '4096' },
    { MAX_PARALLEL: '16', CONTEXT_SIZE: '32768' },
    { MAX_PARALLEL: '16', CONTEXT_SIZE: '32768', KV_CACHE_TYPE: 'q8_0' },
  ]
  for (const settings of wanted) {
    const label = Object.entries(settings)
      .map(([name, value]) => `\`${name}=${value}\``)
      .join(' ')
    note(`memory: ${label}`)
    await using service = await startReal({ KV_CACHE_TYPE: 'f16', ...own, ...settings })
    await answerOnce(service)
    yield [`The model's process with ${label}`, ...totals(await settled(service), isEngine)]
  }
}

async function measureEmbedding({ note, modelsDir }: World): Promise<Row> {
  note('memory: the embedding model')
  await using service = await startReal({ MODELS_DIR: modelsDir }, false)
  await encode(service, passagesOf(64, 7))
  return ['The process of the embedding model, after 64 passages', ...totals(await service.memory(), isEmbedder)]
}

const isEmbedder = ({ program }: ProcessMemory) => program === 'embed-worker'

async function encode({ url, token }: Service, texts: readonly string[]): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const response = await fetch(`${url}/embed/encode`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ texts, truncate: true }),
  })
  if (!response.ok) throw new Error(`/embed/encode: ${response.status} ${await response.text()}`)
  await response.arrayBuffer()
}

/** Streams of a model that never ends, each with somebody who reads it. */
async function measureStreams({ isQuick, note }: World): Promise<Table> {
  const streams = isQuick ? 20 : 400
  note(`memory: ${streams} streams`)
  await using service = await startScripted({ BENCH_PAUSE_MS: '250' })
  const before = await settled(service)
  const leaving = new AbortController()
  const reading = Array.from({ length: streams }, () => readForever(service, leaving.signal))
  await wait(isQuick ? 700 : 6000)
  const during = await service.memory()
  leaving.abort()
  await Promise.all(reading)
  const [residentBefore, anonymousBefore] = totals(before)
  const [resident, anonymous] = totals(during)
  const grown = Math.max(resident - residentBefore, anonymous - anonymousBefore)
  return {
    name: 'streams',
    columns: ['', 'KiB in memory'],
    rows: [[`An open stream (of ${streams})`, (grown * 1024) / streams]],
  }
}

async function readForever({ client }: Service, signal: AbortSignal): Promise<void> {
  try {
    for await (const _event of client.predictStream({ prompt: 'endless', max_length: 4000 }, signal)) if (signal.aborted) return
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

async function medianStart({ note }: World, own: Environment): Promise<readonly number[]> {
  note('memory: starts')
  const starts: Array<readonly [number, number]> = []
  for (let round = 0; round < 5; round += 1) {
    await withService(own, true, async ({ listeningMs, readyMs }) => void starts.push([listeningMs, readyMs]))
  }
  return [0, 1].map((index) =>
    percentile(
      starts.map((one) => one[index] ?? 0),
      50,
    ),
  )
}

async function withService(
  settings: Environment,
  awaitsModel: boolean,
  work: (service: Service) => Promise<void>,
): Promise<void> {
  await using service = await startReal(settings, awaitsModel)
  await work(service)
}

async function answerOnce({ client }: Service): Promise<void> {
  await client.predict({ prompt: 'The capital of Spain is', max_length: 32 }, new AbortController().signal)
}

async function settled(service: Service): Promise<Sample> {
  await wait(settleMs)
  return service.memory()
}

/** MiB in memory, and of these in no file. */
function totals({ processes }: Sample, counts: (one: ProcessMemory) => boolean = () => true): readonly [number, number] {
  const counted = processes.filter(counts)
  return [sum(counted.map((one) => one.residentBytes)) / mebibyte, sum(counted.map((one) => one.anonymousBytes)) / mebibyte]
}
