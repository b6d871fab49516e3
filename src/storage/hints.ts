import { sql } from 'kysely'
import { Client } from 'pg'
import { isPostgres } from './dialect.ts'
import { isPostgresUrl } from './postgres.ts'
import type { Database } from './tables.ts'

/** Tells the other processes on a database that there is something to look at; what it is stands in the rows. */
export type Hints = Readonly<{
  give(): Promise<void>
  close(): Promise<void>
}>

export type HintsParts = Readonly<{
  db: Database
  /** As of `openStorage`. */
  url: string
  /** Told of a hint of anybody's, and whenever some may have been missed. */
  onHint: () => void
}>

const channel = 'simpleia'
const retryMs = 1000

/** Through a connection of its own, which is opened anew when it breaks. SQLite carries none: there one looks now and then. */
export function openHints({ db, url, onHint }: HintsParts): Hints {
  if (!isPostgresUrl(url)) return { give: async () => {}, close: async () => {} }
  let isClosed = false
  let client: Client | undefined
  let timer: NodeJS.Timeout | undefined

  async function listen(): Promise<void> {
    const own = new Client({ connectionString: url, keepAlive: true, application_name: 'simpleia hints' })
    client = own
    const again = () => {
      if (client !== own) return
      client = undefined
      void own.end().catch(() => {})
      if (!isClosed) timer = setTimeout(start, retryMs).unref()
    }
    own.on('error', again).on('end', again).on('notification', onHint)
    try {
      await own.connect()
      await own.query(`listen ${channel}`)
      onHint()
    } catch {
      again()
    }
  }
  let listening = Promise.resolve()
  function start(): void {
    listening = listen()
  }

  start()
  return {
    async give() {
      if (isPostgres(db)) await sql`select pg_notify(${channel}, '')`.execute(db)
    },
    async close() {
      isClosed = true
      clearTimeout(timer)
      await listening
      const own = client
      client = undefined
      await own?.end().catch(() => {})
    },
  }
}
