import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from 'pg'
import { askServer, urlOf } from '../../test/postgres/database-at.ts'
import type { PostgresServer } from '../../test/postgres/server.ts'
import { sum } from '../statistics.ts'
import { type Asked, type Figures, load } from './load.ts'
import { bearer } from './requests.ts'
import { type Environment, type Service, startReal, startScripted } from './services.ts'
import type { Cell } from './tables.ts'
import {
  type DatabaseKind,
  databaseKinds,
  mebibyte,
  megabyte,
  type Part,
  passagesOf,
  startRealPostgres,
  type World,
} from './world.ts'

/** Of one request. */
const batch = 1000
const restored = 'restored'
const program = join(import.meta.dirname, '..', '..', 'src', 'main.ts')

type Row = readonly [string, ...Cell[]]

/** What passages take on disk and in memory, how long they are searched, and how quickly they are kept, backed up and restored. */
export const measureDocuments: Part = async function* (world) {
  const rows: Row[] = []
  const searches: Row[] = []
  const backups: Row[] = []
  for (const kind of databaseKinds) {
    await using stack = new AsyncDisposableStack()
    const server = kind === 'SQLite' ? undefined : stack.use(await startRealPostgres())
    const service = stack.use(await startScripted(server === undefined ? {} : { DATABASE_URL: server.url }))
    const kept = await keepPassages(world, { kind, service, server })
    rows.push(...kept.rows)
    searches.push(...kept.searches)
    yield {
      name: 'documents',
      columns: ['', 'passages/s kept, without the embedding model', 'MiB on disk per 10,000', 'MiB of memory for their vectors'],
      rows: [...rows],
    }
    yield { name: 'searches', columns: ['', 'searches/s, one client', 'p50 ms', 'p95 ms'], rows: [...searches] }
    backups.push(await backUpAndRestore(world, { kind, service, server }))
    yield {
      name: 'backups',
      columns: ['', 'MB of the backup', 's to back up', 'MB/s', 's to restore', 'MB/s of it'],
      rows: [...backups],
    }
  }
  if (!world.isQuick) yield await measureIngest(world)
}

type Place = Readonly<{ kind: DatabaseKind; service: Service; server: PostgresServer | undefined }>

async function keepPassages(world: World, place: Place): Promise<Readonly<{ rows: readonly Row[]; searches: readonly Row[] }>> {
  const { kind, service } = place
  const sizes = world.isQuick ? [500, 1500] : [1000, 5000, 20_000]
  const searches: Row[] = []
  const diskBefore = await diskBytes(place)
  let kept = 0
  let seconds = 0
  let memoryBefore = Number.NaN
  for (const size of sizes) {
    world.note(`documents: ${size} passages in ${kind}`)
    for (; kept < size; kept += batch) {
      const count = Math.min(batch, size - kept)
      const texts = passagesOf(count, kept + 1)
      const startedAt = performance.now()
      await addPassages(service, texts)
      seconds += (performance.now() - startedAt) / 1000
    }
    kept = size
    // What only the first one does, reading all of them, is no part of it.
    await search(service, 0.3)
    const { perSecond, p50Ms, p95Ms } = await search(service, world.isQuick ? 0.3 : 4)
    searches.push([`${kind}, ${size.toLocaleString('en-US')} passages`, perSecond, p50Ms, p95Ms])
    // From the first search on the process of the vectors is there.
    if (Number.isNaN(memoryBefore)) memoryBefore = await vectorBytes(service)
  }
  const first = sizes[0] ?? 0
  const grown = ((await vectorBytes(service)) - memoryBefore) / (kept - first)
  const disk = ((await diskBytes(place)) - diskBefore) / kept
  const tenThousand = (bytes: number) => (bytes * 10_000) / mebibyte
  return { searches, rows: [[kind, kept / seconds, tenThousand(disk), kind === 'SQLite' ? tenThousand(grown) : undefined]] }
}

async function addPassages({ url, token }: Service, documents: readonly string[]): Promise<void> {
  const headers = { ...bearer(token), 'content-type': 'application/json' }
  const response = await fetch(`${url}/embed/add`, { method: 'POST', headers, body: JSON.stringify({ documents }) })
  if (!response.ok) throw new Error(`/embed/add: ${response.status} ${(await response.text()).slice(0, 300)}`)
  await response.arrayBuffer()
}

function search({ url, token }: Service, seconds: number): Promise<Figures> {
  const next = (number: number): Asked => ({
    method: 'POST',
    path: '/embed/search',
    headers: bearer(token),
    body: { query: `question ${number} of music and history`, k: 10 },
  })
  return load(url, { clients: 1, seconds, next })
}

/** Of the process beside SQLite that finds the nearest. */
async function vectorBytes(service: Service): Promise<number> {
  const { processes } = await service.memory()
  return sum(processes.filter(({ program }) => program === 'vector-worker').map((one) => one.anonymousBytes))
}

async function diskBytes({ service, server }: Place): Promise<number> {
  if (server !== undefined) {
    return askServer(server.url, async (client: Client) => {
      const { rows } = await client.query<{ bytes: string }>('select pg_database_size(current_database()) as bytes')
      return Number(rows[0]?.bytes)
    })
  }
  const sizes = ['simpleia.db', 'simpleia.db-wal'].map((name) =>
    stat(join(service.dataDir, name)).then(
      ({ size }) => size,
      () => 0,
    ),
  )
  return sum(await Promise.all(sizes))
}

/** While the service runs, and into a folder and a database that are empty. */
async function backUpAndRestore(world: World, { kind, service, server }: Place): Promise<Row> {
  world.note(`documents: backup and restore, ${kind}`)
  await using stack = new AsyncDisposableStack()
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'simpleia-scale-')), (path) => rm(path, { recursive: true }))
  const file = join(folder, 'backup.tar')
  const backupSeconds = await run(['admin', 'backup', file], service.environment)
  const megabytes = (await stat(file)).size / megabyte
  const dataDir = join(folder, 'data')
  const target = server === undefined ? {} : { DATABASE_URL: urlOf(server.url, restored) }
  if (server !== undefined) await askServer(server.url, (client) => client.query(`create database ${restored}`))
  const own = { ...service.environment, DATA_DIR: dataDir, CONFIG_FILE: join(dataDir, 'config', 'config.json'), ...target }
  const restoreSeconds = await run(['admin', 'restore', file], own)
  return [kind, megabytes, backupSeconds, megabytes / backupSeconds, restoreSeconds, megabytes / restoreSeconds]
}

async function run(words: readonly string[], env: Environment): Promise<number> {
  const startedAt = performance.now()
  const child = spawn(process.execPath, [program, ...words], { env, stdio: ['ignore', 'ignore', 'pipe'], timeout: 120_000 })
  let said = ''
  child.stderr.on('data', (bytes: Buffer) => {
    said += bytes.toString()
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${words.slice(0, 2).join(' ')} ended with ${code}: ${said}`)
  return (performance.now() - startedAt) / 1000
}

/** With the real embedding model: what a text that is handed in takes until it is found. */
async function measureIngest({ note, modelsDir }: World) {
  note('documents: with the embedding model')
  await using service = await startReal({ MODELS_DIR: modelsDir }, false)
  await addPassages(service, passagesOf(8, 1))
  const texts = passagesOf(300, 2)
  const startedAt = performance.now()
  await addPassages(service, texts)
  const seconds = (performance.now() - startedAt) / 1000
  return {
    name: 'ingest',
    columns: ['', 'passages/s', 'minutes per 10,000'],
    rows: [['Passages of 200 tokens, all-MiniLM-L6-v2', texts.length / seconds, (10_000 * seconds) / texts.length / 60] as const],
  }
}
