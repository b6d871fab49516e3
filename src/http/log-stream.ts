import { fstatSync } from 'node:fs'
import type { Writable } from 'node:stream'
import type { FastifyBaseLogger } from 'fastify'
import { destination, pino } from 'pino'
import { serializeError } from './request-log.ts'

export type LogOptions = Readonly<{
  level: string /** Default: the standard output. */
  stream?: Readonly<{ write(line: string): void }>
  /** What each line holds besides: of the request that is worked on. */
  mixin?: (() => object | undefined) | undefined
}>

/** Lines that wait for a disk that has room again, or for a reader; past these they are dropped. */
const maxWaitingBytes = 1_000_000

/**
 * A file (1: the standard output) for the log. That it cannot be written to, or only slowly, is no reason to end the service, and none to
 * hold it up.
 */
export function openLogStream(file: number | string): Readonly<{ write(line: string): void }> {
  if (file === 1 && isPipe(file)) return openPipe(process.stdout)
  const stream = destination({ dest: file, sync: false, maxLength: maxWaitingBytes })
  stream.on('error', () => {})
  return { write: (line) => void stream.write(line) }
}

function isPipe(file: number): boolean {
  const facts = fstatSync(file)
  return facts.isFIFO() || facts.isSocket()
}

/** Other commands end when their reader leaves, and a service does not. */
function openPipe(output: Writable): Readonly<{ write(line: string): void }> {
  output.removeAllListeners('error').on('error', () => {})
  return {
    write(line) {
      if (output.writableLength + line.length <= maxWaitingBytes) output.write(line)
    },
  }
}

export function createLog({ level, stream = openLogStream(1), mixin }: LogOptions): FastifyBaseLogger {
  const more = mixin === undefined ? {} : { mixin: () => mixin() ?? {} }
  return pino({ level, serializers: { err: serializeError }, ...more }, stream)
}
