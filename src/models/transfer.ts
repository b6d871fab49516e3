import { type FileHandle, open as openFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { toDiskError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import type { PullEvent } from './download-events.ts'
import { RetryError, reasonOf, refuseFailure } from './hub-answer.ts'
import type { HubFile } from './hub-listing.ts'
import { askHub, type Hub } from './hub-request.ts'
import { addRange, countBytes, type Range, readState, saveState, splitMissing } from './transfer-state.ts'

/** How a file is fetched; tests use smaller figures. */
export type TransferLimits = Readonly<{ segmentBytes: number; parallel: number; stallMs: number }>

export const transferLimits: TransferLimits = { segmentBytes: 16 * 1024 ** 2, parallel: 4, stallMs: 60_000 }

export type TransferOptions = Readonly<{
  hub: Hub
  repository: string
  limits: TransferLimits
  report: (event: PullEvent) => void
  now: () => number
  /** Rejects when the signal says so. */
  wait: (ms: number, signal?: AbortSignal) => Promise<void>
  /** Opens a part for writing; a parameter so that a test can have a full disk. */
  open?: typeof openFile | undefined
}>

type Run = {
  readonly options: TransferOptions
  readonly file: HubFile
  readonly part: string
  readonly handle: FileHandle
  readonly onBytes: (received: number) => void
  /** What is on the disk for sure. */
  ranges: readonly Range[]
  /** How far each range that is being fetched has come, by its start. */
  readonly inFlight: Map<number, number>
  /** Where the hub redirected to: good for further ranges, until it expires. */
  direct: string | undefined
  onRanges: () => void
  saving: Promise<void>
}

const maxIdleAttempts = 5

/** The server sends whole files only. */
class RangesIgnored extends Error {
  override readonly name = 'RangesIgnored'
}

/**
 * Fetches a file into `part`, several ranges at once, going on with what an earlier transfer left, also one that was killed. When it
 * returns all bytes are on the disk, their checksum is not checked; `resumed` tells whether any were there before. A stop or a failure
 * keeps what arrived. Throws `upstream` when the server fails for good, `forbidden`, `not_found`, `storage_full`, `aborted`.
 */
export async function receiveFile(
  options: TransferOptions,
  { file, part, onBytes }: Readonly<{ file: HubFile; part: string; onBytes: (received: number) => void }>,
  signal: AbortSignal,
): Promise<Readonly<{ resumed: boolean }>> {
  const ranges = await readState(part, file)
  const resumed = ranges.length > 0
  const { open = openFile } = options
  const handle = await onDisk(part, open(part, resumed ? 'r+' : 'w+'))
  const inFlight = new Map<number, number>()
  const run: Run = {
    options,
    file,
    part,
    handle,
    onBytes,
    ranges,
    inFlight,
    direct: undefined,
    onRanges: () => {},
    saving: Promise.resolve(),
  }
  try {
    await onDisk(part, handle.truncate(file.sizeBytes))
    await receiveRanges(run, signal).catch((error: unknown) => {
      if (error instanceof RangesIgnored) return receiveWhole(run, signal)
      throw error
    })
    await save(run)
    return { resumed }
  } catch (error) {
    // What arrived of unfinished ranges counts, too. Where even this cannot be noted, the first error tells why.
    for (const range of inFlight) run.ranges = addRange(run.ranges, range)
    await save(run).catch(() => undefined)
    throw signal.aborted ? stopped(error) : error
  } finally {
    await handle.close()
  }
}

async function receiveRanges(run: Run, signal: AbortSignal): Promise<void> {
  const { segmentBytes, parallel } = run.options.limits
  const todo = splitMissing(run.ranges, run.file.sizeBytes, segmentBytes)
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const failures: unknown[] = []
  const work = async () => {
    for (let range = todo.shift(); range !== undefined; range = todo.shift()) await receiveRange(run, range, either)
  }
  const workers: Promise<void>[] = []
  const start = () => {
    const worker = work().catch((error: unknown) => {
      failures.push(error)
      stop.abort()
    })
    workers.push(worker)
  }
  // The first goes ahead: whether the server knows ranges at all shows with its answer.
  run.onRanges = () => {
    while (workers.length < parallel && todo.length > 0) start()
  }
  start()
  for (let index = 0; index < workers.length; index += 1) await workers[index]
  if (failures.length > 0) throw failures[0]
}

async function receiveRange(run: Run, range: Range, signal: AbortSignal): Promise<void> {
  const [from, to] = range
  const reached = () => run.inFlight.get(from) ?? from
  run.inFlight.set(from, from)
  let idleAttempts = 0
  while (reached() < to) {
    const before = reached()
    try {
      const isWhole = before === 0 && to === run.file.sizeBytes
      await receive(run, { key: from, to, range: isWhole ? undefined : `bytes=${before}-${to - 1}` }, signal)
    } catch (error) {
      idleAttempts = reached() > before ? 1 : idleAttempts + 1
      await pauseAfter(run, error, idleAttempts, signal)
    }
  }
  run.inFlight.delete(from)
  run.ranges = addRange(run.ranges, range)
  await save(run)
}

/** For servers that know no ranges: one stream, which begins again when it breaks. */
async function receiveWhole(run: Run, signal: AbortSignal): Promise<void> {
  run.inFlight.clear()
  run.ranges = []
  await save(run)
  for (let attempts = 1; (run.inFlight.get(0) ?? 0) < run.file.sizeBytes; attempts += 1) {
    run.inFlight.set(0, 0)
    try {
      await receive(run, { key: 0, to: run.file.sizeBytes, range: undefined }, signal)
    } catch (error) {
      await pauseAfter(run, error, attempts, signal)
    }
  }
  run.inFlight.clear()
  run.ranges = [[0, run.file.sizeBytes]]
}

async function pauseAfter({ options, file }: Run, error: unknown, attempts: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted || error instanceof AppError || error instanceof RangesIgnored) throw error
  const reason = reasonOf(error)
  if (attempts >= maxIdleAttempts) {
    throw new AppError('upstream', `The download of ${file.path} broke off: ${reason}. Start it again to go on with it.`, {
      cause: error,
    })
  }
  options.report({ type: 'download-retry', reason })
  await options.wait((error instanceof RetryError ? error.waitMs : undefined) ?? 1000 * attempts, signal)
}

type Piece = Readonly<{ key: number; to: number; range: string | undefined }>

/** One request. Throws an ordinary Error when another one may help, an AppError when none will. */
async function receive(run: Run, piece: Piece, signal: AbortSignal): Promise<void> {
  const { hub, limits } = run.options
  const stalled = new AbortController()
  const timer = setTimeout(() => stalled.abort(new RetryError('nothing more arrived')), limits.stallMs)
  const either = AbortSignal.any([signal, stalled.signal])
  try {
    const via = run.direct
    const headers = piece.range === undefined ? {} : { range: piece.range }
    const { response, url } = await askHub(hub, via ?? run.file.url, headers, either)
    try {
      await accept(run, piece, response, via)
      if (url !== run.file.url) run.direct = url
      if (piece.range !== undefined) run.onRanges()
      await write(run, piece, response, () => timer.refresh())
    } finally {
      // Of a body that was not read to its end, nothing more is wanted.
      await response.body?.cancel().catch(() => undefined)
    }
  } finally {
    clearTimeout(timer)
  }
}

/** Whether an answer holds the bytes that were asked for. */
async function accept(run: Run, { key, to, range }: Piece, response: Response, via: string | undefined): Promise<void> {
  const { options, file } = run
  const { status, headers } = response
  if (range !== undefined && (status === 200 || status === 416)) throw new RangesIgnored()
  if (!response.ok && via !== undefined) {
    run.direct = undefined
    throw new RetryError(`the address of the file has expired (${status})`, { waitMs: 0 })
  }
  await refuseFailure(response, `${options.hub.endpoint}/${options.repository}: ${file.path}`, options.repository, options.now)
  const encoding = headers.get('content-encoding') ?? 'identity'
  if (encoding !== 'identity') throw new RetryError(`the file comes compressed (${encoding}), which was not asked for`)
  if (range === undefined) {
    const length = headers.get('content-length')
    if (status !== 200) throw new RetryError(`the server answered ${status} instead of the file`)
    if (headers.get('content-type')?.startsWith('text/html') && length !== String(file.sizeBytes))
      throw new RetryError('a web page came instead of the file')
    if (length !== null && Number(length) !== file.sizeBytes)
      throw new RetryError(`the server announces ${length} bytes, but the hub's record says ${file.sizeBytes}`)
    return
  }
  const [, start, end, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? []
  const isRight = Number(start) === (run.inFlight.get(key) ?? key) && Number(end) < to
  if (!isRight || (total !== '*' && Number(total) !== file.sizeBytes))
    throw new RetryError(`the server sent "${headers.get('content-range')?.slice(0, 60)}" for ${range} of ${file.sizeBytes}`)
}

async function write(run: Run, { key, to }: Piece, response: Response, alive: () => void): Promise<void> {
  const { file, part, handle, inFlight } = run
  let at = inFlight.get(key) ?? key
  for await (const chunk of response.body ?? []) {
    alive()
    if (at + chunk.length > to)
      throw new AppError(
        'upstream',
        `${file.path}: the server sent more than the ${file.sizeBytes} bytes that the hub announced.`,
      )
    await onDisk(part, writeAll(handle, chunk, at))
    at += chunk.length
    inFlight.set(key, at)
    run.onBytes(countBytes([...run.ranges, ...inFlight]))
  }
  if (at < to) throw new RetryError(`the connection ended ${to - at} bytes too early`)
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, written, bytes.length - written, position + written)
    written += bytesWritten
  }
}

/** First the bytes, then the note that they are there; one after the other, as ranges end in any order. */
function save(run: Run): Promise<void> {
  const next = run.saving
    .catch(() => undefined)
    .then(async () => {
      const { ranges } = run
      await onDisk(run.part, run.handle.datasync())
      await onDisk(run.part, saveState(run.part, run.file, ranges))
    })
  run.saving = next
  return next
}

/** What the disk refuses is no reason to ask the server again. */
async function onDisk<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const known = toDiskError(error, dirname(path))
    if (known instanceof AppError) throw known
    throw new AppError('unavailable', `${path} cannot be written: ${reasonOf(error)}.`, { cause: error })
  }
}

function stopped(cause: unknown): AppError {
  return new AppError('aborted', 'The download was stopped. Start it again to go on with it.', { cause })
}
