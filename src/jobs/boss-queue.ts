import type { PgBoss } from 'pg-boss'
import type { OpenJobQueue, WorkOutcome } from './job-queue.ts'

export type BossQueueParts = Readonly<{
  /** `postgres://…` */
  url: string
  /** What the queue is called in the database. */
  name: string
  /** A process that has not said for so long that it works on a job has died; at least 10. */
  heartbeatSeconds?: number
  log: Readonly<{ error(details: object, message: string): void }>
}>

/** Of pg-boss, beside ours. */
const schema = 'simpleia_jobs'
/** Connections of its own. */
const mostConnections = 2
const lookSeconds = 1
const usualHeartbeatSeconds = 20
/** As long as pg-boss lets work take; then it is begun again, and goes on where it was. */
const longestSeconds = 23 * 3600
const mostTries = 1_000_000

class TryAgain extends Error {}

/**
 * A queue that all processes on one PostgreSQL share, by pg-boss. Work whose process dies is taken up by another one. Nothing is opened
 * before there is work.
 */
export const openBossQueue =
  ({ url, name, heartbeatSeconds = usualHeartbeatSeconds, log }: BossQueueParts): OpenJobQueue =>
  (work) => {
    const closing = new AbortController()
    const stops = new Map<string, AbortController>()
    const running = new Set<Promise<unknown>>()
    let starting: Promise<PgBoss> | undefined

    function open(): Promise<PgBoss> {
      starting ??= start().catch((error: unknown) => {
        starting = undefined
        throw error
      })
      return starting
    }

    async function start(): Promise<PgBoss> {
      const { PgBoss } = await import('pg-boss')
      const boss = new PgBoss({
        ...{ connectionString: url, schema, max: mostConnections, application_name: 'simpleia jobs' },
        ...{
          schedule: false,
          superviseIntervalSeconds: 5,
          monitorIntervalSeconds: 5,
          registerInstance: false,
          monitorVacuum: false,
        },
      })
      boss.on('error', (error) => log.error({ err: error }, 'The queue of background work has a problem'))
      try {
        await boss.start()
        await boss.createQueue(name, {
          ...{ policy: 'exclusive', expireInSeconds: longestSeconds, heartbeatSeconds },
          ...{ retryLimit: mostTries, retryDelay: 1, retryBackoff: true, retryDelayMax: 60, deleteAfterSeconds: 3600 },
        })
        await boss.work<{ key: string }>(name, { batchSize: 1, pollingIntervalSeconds: lookSeconds }, async ([job]) => {
          if (job !== undefined) await run(job.data.key, job.signal)
        })
      } catch (error) {
        await boss.stop({ graceful: false }).catch(() => {})
        throw error
      }
      return boss
    }

    /** Throws where the work is to be done again. */
    async function run(key: string, lost: AbortSignal): Promise<void> {
      const stop = new AbortController()
      stops.set(key, stop)
      const signal = AbortSignal.any([stop.signal, closing.signal, lost])
      const doing = work(key, signal).catch((): WorkOutcome => (closing.signal.aborted ? 'again' : 'done'))
      running.add(doing)
      try {
        if ((await doing) === 'again' || closing.signal.aborted) throw new TryAgain()
      } finally {
        running.delete(doing)
        if (stops.get(key) === stop) stops.delete(key)
      }
    }

    return {
      async add(key) {
        await (await open()).send(name, { key }, { singletonKey: key })
      },
      drop: (key) => stops.get(key)?.abort(),
      async idle() {
        while (running.size > 0) await Promise.all(running)
      },
      async close() {
        closing.abort()
        const boss = await starting?.catch(() => undefined)
        await Promise.all(running)
        await boss?.stop({ graceful: true, timeout: 5000 })
      },
    }
  }
