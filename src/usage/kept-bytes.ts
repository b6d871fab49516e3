import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import { createLook } from '../engine/look-at-disk.ts'
import { AppError } from '../errors.ts'
import { dayOf, nextDayMs } from './usage-days.ts'

/** What the file system of the data has. */
export type DiskSpace = Readonly<{ freeBytes: number; totalBytes: number }>

export type KeptBytesOptions = Readonly<{
  /** What one caller may hand in to be kept in a UTC day; 0: without limit. */
  bytesPerDay: number
  /** What is left free on the disk, or a twentieth of it where that is less; 0: nothing. */
  minFreeBytes: number
  /** Where it fails, or takes long, nobody is refused. */
  readSpace: () => Promise<DiskSpace | undefined>
  keyOf: (request: FastifyRequest) => string
  /** Milliseconds since 1970. */
  now: () => number
}>

/** Wraps the routes that keep what they are sent. */
export type KeepRoutes = (plugins: readonly FastifyPluginAsync[]) => FastifyPluginAsync

const spaceIsKnownMs = 2000
const maxRemembered = 20_000
const keepingMethods: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH'])

/**
 * Keeps callers, those without an account above all, from filling the disk: their bodies are counted by the day before they are read, and
 * none is taken once the disk has too little room. Reading and deleting go on. The routes throw `quota_exceeded` and `storage_full`.
 */
export function createKeptBytes(options: KeptBytesOptions): KeepRoutes {
  const { bytesPerDay, now, keyOf } = options
  const handedIn = new LRUCache<string, Readonly<{ day: string; bytes: number }>>({ max: maxRemembered })
  const hasRoom = createRoomCheck(options)

  const bytesOf = (key: string) => {
    const known = handedIn.get(key)
    return known?.day === dayOf(now()) ? known.bytes : 0
  }
  const add = (key: string, bytes: number) => handedIn.set(key, { day: dayOf(now()), bytes: bytesOf(key) + bytes })

  async function guard(request: FastifyRequest): Promise<void> {
    if (!keepingMethods.has(request.method)) return
    if (!(await hasRoom()))
      throw new AppError('storage_full', 'The disk of the service has too little room left to keep anything more.')
    if (bytesPerDay === 0) return
    const key = keyOf(request)
    const announced = request.headers['content-length']
    const bytes = Number(announced ?? 0)
    if (bytesOf(key) + bytes > bytesPerDay) throw pastQuota(bytesPerDay, now())
    add(key, bytes)
    if (announced === undefined) countUnannounced(request, (received) => add(key, received))
  }

  return (plugins) => async (http) => {
    http.addHook('onRequest', guard)
    for (const plugin of plugins) await http.register(plugin)
  }
}

/** A body that comes in pieces, of which nobody said how long it is, counts when the request has ended. */
function countUnannounced({ raw }: FastifyRequest, count: (bytes: number) => void): void {
  const { socket } = raw
  const before = socket.bytesRead
  raw.once('close', () => count(socket.bytesRead - before))
}

function createRoomCheck({ minFreeBytes, readSpace, now }: KeptBytesOptions): () => Promise<boolean> {
  // A disk that does not answer refuses nothing by itself.
  const look = createLook(readSpace, undefined)
  let known = Promise.resolve(true)
  let readAtMs = Number.NEGATIVE_INFINITY
  return () => {
    if (minFreeBytes === 0) return known
    // A clock that was put back must not make it known for ever.
    if (Math.abs(now() - readAtMs) < spaceIsKnownMs) return known
    readAtMs = now()
    known = look().then((space) => space === undefined || space.freeBytes >= Math.min(minFreeBytes, space.totalBytes / 20))
    return known
  }
}

function pastQuota(bytesPerDay: number, nowMs: number): AppError {
  const retryAfterSeconds = Math.ceil((nextDayMs(nowMs) - nowMs) / 1000)
  const most = `${Math.floor(bytesPerDay / 1024 ** 2)} MB`
  const message = `You may hand in ${most} to be kept in a day (KEPT_BYTES_PER_DAY). The next day begins at 00:00 UTC.`
  return new AppError('quota_exceeded', message, { retryAfterSeconds })
}
