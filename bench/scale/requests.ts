import { type Asked, type Figures, load } from './load.ts'
import { type Service, startScripted } from './services.ts'
import type { Cell } from './tables.ts'
import { type DatabaseKind, databaseKinds, type Part, startRealPostgres, type World } from './world.ts'

const kinds: ReadonlyArray<Readonly<{ label: string; asked: (token: string) => Asked }>> = [
  { label: '`GET /health` (no database)', asked: () => ({ method: 'GET', path: '/health' }) },
  {
    label: '`GET /auth/me` (one look at the database)',
    asked: (token) => ({ method: 'GET', path: '/auth/me', headers: bearer(token) }),
  },
  { label: '`POST /predict` (an answer that is remembered)', asked: predictAs },
]

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

export function predictAs(token: string): Asked {
  return { method: 'POST', path: '/predict', headers: bearer(token), body: { prompt: 'How many words?', max_length: 16 } }
}

/** What the service takes for a request apart from the model, with 1, 8 and 32 clients, on both databases. */
export const measureRequests: Part = async function* (world) {
  const rates: Array<readonly [string, ...Cell[]]> = []
  const saved: Array<readonly [string, ...Cell[]]> = []
  for (const kind of databaseKinds) {
    await using stack = new AsyncDisposableStack()
    const server = kind === 'SQLite' ? undefined : stack.use(await startRealPostgres())
    const service = stack.use(await startScripted(server === undefined ? {} : { DATABASE_URL: server.url }))
    for (const { label, asked } of kinds) {
      const one = asked(service.token)
      const figures = await measureClients(world, service, `${kind}, ${label}`, one)
      rates.push([
        `${kind}: ${label}`,
        ...figures.flatMap(({ perSecond, p50Ms, p95Ms }) => [perSecond, p50Ms, p95Ms]),
        figures.at(-1)?.cpuMs,
      ])
    }
    saved.push(await measureSaved(world, service, kind))
    yield {
      name: 'requests',
      columns: ['', ...clientCounts.flatMap((count) => [`${count}: requests/s`, 'p50 ms', 'p95 ms']), 'CPU ms each'],
      rows: [...rates],
    }
    yield { name: 'saved', columns: ['32 clients', 'answers/s', 'transactions/s', 'statements each'], rows: [...saved] }
  }
}

const clientCounts = [1, 8, 32] as const

type Measured = Figures & Readonly<{ cpuMs: number }>

async function measureClients(
  { isQuick, note }: World,
  service: Service,
  label: string,
  asked: Asked,
): Promise<readonly Measured[]> {
  const measured: Measured[] = []
  await load(service.url, { clients: 8, seconds: isQuick ? 0.1 : 1, next: () => asked })
  for (const clients of clientCounts) {
    note(`requests: ${label}, ${clients} clients`)
    const before = await service.cpuSeconds()
    const figures = await load(service.url, { clients, seconds: isQuick ? 0.2 : 4, next: () => asked })
    const cpuMs = (((await service.cpuSeconds()) - before) * 1000) / figures.requests
    measured.push({ ...figures, cpuMs })
  }
  return measured
}

async function measureSaved(
  { isQuick, note }: World,
  service: Service,
  kind: DatabaseKind,
): Promise<readonly [string, ...Cell[]]> {
  note(`requests: what ${kind} is asked for answers`)
  const before = await countStatements(service)
  const { requests, perSecond } = await load(service.url, {
    clients: 32,
    seconds: isQuick ? 0.5 : 5,
    next: () => predictAs(service.token),
  })
  const after = await countStatements(service)
  const each = (after.all - before.all) / requests
  return [kind, perSecond, ((after.transactions - before.transactions) / requests) * perSecond, each]
}

/** What the service counts of its database: in PostgreSQL a transaction is three of its kind (begin, turn, commit), in SQLite two. */
async function countStatements({ url }: Service): Promise<Readonly<{ transactions: number; all: number }>> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const counts = [...text.matchAll(/^simpleia_database_query_duration_seconds_count\{kind="(\w+)"\} (\d+)/gm)]
  const of = (wanted: string) => Number(counts.find(([, kind]) => kind === wanted)?.[2] ?? 0)
  const each = of('connect') === 0 ? 2 : 3
  const all = counts.filter(([, kind]) => kind !== 'connect').reduce((total, [, , count]) => total + Number(count), 0)
  return { transactions: of('transaction') / each, all }
}
