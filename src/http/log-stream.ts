import type { FastifyBaseLogger } from 'fastify'
import { destination, pino } from 'pino'
import { serializeError } from './request-log.ts'

export type LogOptions = Readonly<{
  level: string /** Default: the standard output. */
  stream?: Readonly<{ write(line: string): void }>
  /** What each line holds besides: of the request that is worked on. */
  mixin?: (() => object | undefined) | undefined
}>

/** Lines that wait for a disk that has room again; past these they are dropped. */
const maxWaitingBytes = 1_000_000

/** A file (1: the standard output) for the log. That it cannot be written to is no reason to end the service. */
export function openLogStream(file: number | string): Readonly<{ write(line: string): void }> {
  const stream = destination({ dest: file, sync: true, maxLength: maxWaitingBytes })
  stream.on('error', () => {})
  return { write: (line) => void stream.write(line) }
}

export function createLog({ level, stream = openLogStream(1), mixin }: LogOptions): FastifyBaseLogger {
  const more = mixin === undefined ? {} : { mixin: () => mixin() ?? {} }
  return pino({ level, serializers: { err: serializeError }, ...more }, stream)
}
