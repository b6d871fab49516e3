import { mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine, formatAbout } from '../machine.ts'
import { percentile, rotate, sum } from '../statistics.ts'
import { writeVectors } from './data.ts'
import { type Faiss, openFaiss } from './faiss.ts'
import { measureFilters } from './filters.ts'
import { type Data, openHere, openProcess, type Searched, searchHere, searchProcess, waitForGraph } from './ours.ts'
import { readRows, saveRows } from './rows.ts'

// Measures the vector index beside FAISS, over the same vectors, on one thread, one query at a time:
//   node bench/vectors/main.ts --python PYTHON_WITH_FAISS [--data FILE] [--vectors N] [--rounds N] [--json FILE]
// --data names raw 32-bit floats, unit vectors one after the other, the last of which are the queries; without, they are made.

const k = 10
/** Settings of FAISS's graph: as ours, and enough candidates for the recall that ours has. */
const faissGraph = { m: 32, expansion: 256, candidates: [32, 64, 96] } as const
const filterQueries = 40

const { values } = parseArgs({
  options: {
    python: { type: 'string' },
    data: { type: 'string' },
    vectors: { type: 'string', default: '100000' },
    dimensions: { type: 'string', default: '384' },
    queries: { type: 'string', default: '300' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'string' },
  },
})
const count = Number(values.vectors)
const dimensions = Number(values.dimensions)
const queries = Number(values.queries)
const rounds = Number(values.rounds)

type Round = Readonly<{ name: string; run: () => Promise<Searched> | Searched }>

/** Each in turn in every round, in an order that rotates: what drifts, drifts for all. */
async function runRounds(list: readonly Round[], times: number): Promise<ReadonlyMap<string, readonly Searched[]>> {
  const results = new Map<string, Searched[]>(list.map(({ name }) => [name, []]))
  for (const { run } of list) await run()
  for (let round = 0; round < times; round += 1)
    for (const { name, run } of rotate(list, round)) results.get(name)?.push(await run())
  return results
}

const perSecond = ({ milliseconds }: Searched) => (1000 * milliseconds.length) / sum(milliseconds)

function recallOf(found: Searched['found'], truth: Searched['found']): number {
  const shares = found.map((ids, place) => {
    const right = truth[place] ?? []
    return right.filter((id) => ids.includes(id)).length / right.length
  })
  return sum(shares) / shares.length
}

/** One line for each: queries a second, p50, recall, and times FAISS flat in the same round (the median of the rounds). */
function summarize(results: ReadonlyMap<string, readonly Searched[]>, reference: string) {
  const flat = results.get(reference) ?? []
  const truth = flat[0]?.found ?? []
  return [...results].map(([name, all]) => ({
    name,
    queriesPerSecond: percentile(all.map(perSecond), 50),
    p50: percentile(
      all.flatMap(({ milliseconds }) => milliseconds),
      50,
    ),
    recall: recallOf(all[0]?.found ?? [], truth),
    times: percentile(
      all.map((one, round) => perSecond(one) / perSecond(flat[round] ?? one)),
      50,
    ),
  }))
}

async function readData(file: string, size: number): Promise<Data> {
  const handle = await open(file)
  try {
    const bytes = new Uint8Array((await handle.stat()).size)
    for (let done = 0; done < bytes.length; )
      done += (await handle.read(bytes, done, Math.min(2 ** 26, bytes.length - done))).bytesRead
    const all = new Float32Array(bytes.buffer)
    const vectors = all.length / size - queries
    return {
      dimensions: size,
      vectors: all.slice(0, vectors * size),
      queries: Array.from({ length: queries }, (_, place) => all.slice((vectors + place) * size, (vectors + place + 1) * size)),
    }
  } finally {
    await handle.close()
  }
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`
const seconds = (value: number) => `${value.toFixed(2)} s`
const table = (head: readonly string[], rows: ReadonlyArray<readonly string[]>) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

async function measureFaiss(faiss: Faiss, folder: string) {
  const kinds = [
    { name: 'FAISS IndexFlatL2', index: 'flat', options: {} },
    { name: 'FAISS IndexHNSWFlat', index: 'hnsw', options: faissGraph },
  ] as const
  const lines = []
  for (const { name, index, options } of kinds) {
    const { seconds: add, bytes } = await faiss.add(index, options)
    const file = join(folder, index)
    const { save, load } = await faiss.save(index, file)
    lines.push({ name, add, save, load, bytes, fileBytes: (await stat(file)).size })
  }
  return lines
}

async function measureOurs(data: Data, folder: string, addSeconds: readonly [exact: number, graph: number]) {
  const file = join(folder, 'rows.db')
  const save = await saveRows(file, data)
  const fileBytes = (await stat(file)).size
  const exact = await openProcess(data, 'exact', () => readRows(file))
  const exactMemory = await exact.memory()
  const graph = await openProcess(data, 'hnsw', () => readRows(file))
  const built = await waitForGraph(graph.index, data)
  const graphMemory = await graph.memory()
  const lines = [
    { name: 'simpleIA exact', add: addSeconds[0], save, load: exact.loadSeconds, bytes: exactMemory.anonymousBytes, fileBytes },
    { name: 'simpleIA graph', add: addSeconds[1], save, load: graph.loadSeconds, bytes: graphMemory.anonymousBytes, fileBytes },
  ]
  return {
    exact: exact.index,
    graph: graph.index,
    lines,
    buildSeconds: built.seconds,
    statedBytes: [exact.statedBytes, built.memoryBytes],
  }
}

const folder = await mkdtemp(join(tmpdir(), 'simpleia-vectors-'))
try {
  const file = values.data ?? join(folder, 'vectors.f32')
  if (values.data === undefined) await writeVectors(file, count + queries, dimensions)
  const data = await readData(file, dimensions)
  const faiss = values.python === undefined ? undefined : await openFaiss(values.python, { file, dimensions, queries })
  console.log(formatAbout({ version: 'vectors', node: process.version, machine: describeMachine(), date: new Date() }))
  console.log(
    `${data.vectors.length / dimensions} × ${dimensions}, ${queries} queries, k = ${k}, FAISS ${faiss?.version ?? 'left out'}`,
  )
  const stored = [...(faiss === undefined ? [] : await measureFaiss(faiss, folder))]
  const exact = openHere(data, 'exact')
  const graph = openHere(data, 'hnsw')
  const ours = await measureOurs(data, folder, [exact.addSeconds, graph.addSeconds + graph.buildSeconds])
  const list: Round[] = [
    { name: 'simpleIA exact', run: () => searchHere(exact.space, data, k) },
    ...(faiss === undefined ? [] : [{ name: 'FAISS flat', run: () => faiss.search('flat', k) }]),
    { name: 'simpleIA graph', run: () => searchHere(graph.space, data, k) },
    { name: 'simpleIA exact, its process', run: () => searchProcess(ours.exact, data, k) },
    { name: 'simpleIA graph, its process', run: () => searchProcess(ours.graph, data, k) },
    ...(faiss === undefined
      ? []
      : faissGraph.candidates.map((wanted) => ({ name: `FAISS HNSW, ${wanted}`, run: () => faiss.search('hnsw', k, wanted) }))),
  ]
  const searched = summarize(await runRounds(list, rounds), faiss === undefined ? 'simpleIA exact' : 'FAISS flat')
  console.log(
    table(
      ['', 'queries/s', 'p50 ms', 'recall@10', 'times FAISS flat'],
      searched.map((line) => [
        line.name,
        line.queriesPerSecond.toFixed(0),
        line.p50.toFixed(3),
        line.recall.toFixed(4),
        line.times.toFixed(2),
      ]),
    ),
  )
  console.log(
    table(
      ['', 'add and build', 'save', 'load', 'memory', 'file'],
      [...ours.lines, ...stored].map((line) => [
        line.name,
        seconds(line.add),
        seconds(line.save),
        seconds(line.load),
        megabytes(line.bytes),
        megabytes(line.fileBytes),
      ]),
    ),
  )
  console.log(
    `In its process the graph took ${seconds(ours.buildSeconds)}; memory by its own count: ${ours.statedBytes.map(megabytes).join(', ')}`,
  )
  const filters = [exact, graph].map(({ space }) => measureFilters(space, data, k, filterQueries))
  console.log(
    table(
      ['filter', 'exact: recall@10', 'p50 ms', 'graph: recall@10', 'p50 ms'],
      (filters[0] ?? []).map(({ filter }, place) => [
        filter,
        ...filters.flatMap((kind) => [kind[place]?.recall.toFixed(4) ?? '', kind[place]?.milliseconds.toFixed(3) ?? '']),
      ]),
    ),
  )
  if (values.json !== undefined)
    await writeFile(values.json, `${JSON.stringify({ searched, stored: [...ours.lines, ...stored], filters }, null, 2)}\n`)
  await Promise.all([ours.exact.close(), ours.graph.close(), faiss?.close()])
} finally {
  await rm(folder, { recursive: true })
}
