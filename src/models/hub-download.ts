import { open, rm, truncate } from 'node:fs/promises'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { AppError } from '../errors.ts'
import { createProgress, type Report } from './setup-events.ts'
import { findSize, hashFile, installFile, isSystemError } from './verified-file.ts'

export type HubFile = Readonly<{ repository: string; path: string }>

/** What the hub says of a file, and where it is. */
export type HubRecord = Readonly<{ url: string; sizeBytes: number; sha256: string }>

export type Hub = Readonly<{ fetch: typeof globalThis.fetch; endpoint: string; token: string | undefined }>

export type DownloadOptions = Readonly<{
  hub: Hub
  record: HubRecord
  target: string
  report: Report
  now: () => number
  /** Waits so many milliseconds between attempts. */
  wait: (ms: number) => Promise<void>
}>

const answerTimeoutMs = 10_000
const stallTimeoutMs = 60_000
const maxIdleAttempts = 5

// Only what is used; the hub may add fields any day.
const treeAnswer = Type.Array(
  Type.Object({
    path: Type.String(),
    lfs: Type.Optional(Type.Object({ oid: Type.String({ pattern: '^[0-9a-f]{64}$' }), size: Type.Integer({ minimum: 1 }) })),
  }),
)

/** Asks the hub for size and checksum of a file. Throws `unavailable` when it can't be reached or gives no usable answer. */
export async function getHubRecord(hub: Hub, file: HubFile, signal?: AbortSignal): Promise<HubRecord> {
  const answer = await askHub(hub, `${hub.endpoint}/api/models/${file.repository}/tree/main`, signal)
  const entry = Value.Check(treeAnswer, answer) ? answer.find(({ path }) => path === file.path) : undefined
  if (entry?.lfs === undefined)
    throw new AppError('unavailable', `${hub.endpoint} does not list ${file.repository}/${file.path}.`)
  const url = `${hub.endpoint}/${file.repository}/resolve/main/${encodeURIComponent(file.path)}`
  return { url, sizeBytes: entry.lfs.size, sha256: entry.lfs.oid }
}

async function askHub(hub: Hub, url: string, signal: AbortSignal | undefined): Promise<unknown> {
  const limit = AbortSignal.timeout(answerTimeoutMs)
  try {
    const response = await hub.fetch(url, {
      headers: authorization(hub),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    })
    if (!response.ok) throw new Error(`it answered ${response.status}`)
    return await response.json()
  } catch (cause) {
    if (signal?.aborted) throw new AppError('aborted', 'The set-up was stopped.', { cause })
    throw new AppError('unavailable', `${hub.endpoint} cannot be used: ${reasonOf(cause)}.`, { cause })
  }
}

/**
 * Downloads to `target.part`, going on where an earlier transfer ended, and installs the file when its checksum is right.
 * A part that turns out wrong is removed. Throws `upstream` when the hub fails for good.
 */
export async function downloadFromHub(options: DownloadOptions, signal?: AbortSignal): Promise<void> {
  const { record, target, report } = options
  const part = `${target}.part`
  let resumed = ((await findSize(part)) ?? 0) > 0
  for (;;) {
    await receiveAll(options, part, signal)
    report({ type: 'file-check', file: target })
    if ((await hashFile(part, signal)) === record.sha256) return installFile(part, target, record.sha256)
    await rm(part)
    // The beginning may stem from an older version of the file: one whole transfer tells.
    if (!resumed)
      throw new AppError('upstream', `${record.url} sent other bytes than its checksum says. The download was removed.`)
    resumed = false
  }
}

async function receiveAll(options: DownloadOptions, part: string, signal: AbortSignal | undefined): Promise<void> {
  const { record, report, wait } = options
  let idleAttempts = 0
  for (;;) {
    const before = (await findSize(part)) ?? 0
    if (before === record.sizeBytes) return
    try {
      await receive(options, part, before, signal)
    } catch (error) {
      if (signal?.aborted)
        throw new AppError('aborted', 'The download was stopped. Start again to go on with it.', { cause: error })
      if (error instanceof AppError || isSystemError(error, 'ENOSPC', 'EDQUOT', 'EACCES', 'EROFS')) throw error
      idleAttempts = ((await findSize(part)) ?? 0) > before ? 1 : idleAttempts + 1
      if (idleAttempts >= maxIdleAttempts) {
        throw new AppError('upstream', `${record.url} broke off: ${reasonOf(error)}. Start again to go on with the download.`, {
          cause: error,
        })
      }
      report({ type: 'download-retry', reason: reasonOf(error) })
      await wait(1000 * idleAttempts)
    }
  }
}

/** One transfer, from byte `from` on. Throws an ordinary Error when another attempt may help, an AppError when none will. */
async function receive(options: DownloadOptions, part: string, from: number, signal: AbortSignal | undefined): Promise<void> {
  const { hub, record } = options
  const stalled = new AbortController()
  const timer = setTimeout(() => stalled.abort(new Error('nothing arrived for a minute')), stallTimeoutMs)
  try {
    const response = await hub.fetch(record.url, {
      headers: { ...authorization(hub), ...(from > 0 ? { range: `bytes=${from}-` } : {}) },
      signal: signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal,
    })
    await writeBody(options, part, await startOf(response, part, from), response, () => timer.refresh())
  } finally {
    clearTimeout(timer)
  }
}

/** Where in the file the body of this answer belongs; a server that ignores or contradicts the range starts over. */
async function startOf(response: Response, part: string, from: number): Promise<number> {
  const range = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1]
  if (response.status === 206 && Number(range) === from) return from
  if (response.status === 200) return 0
  await response.body?.cancel()
  if (response.status === 206 || response.status === 416) {
    await truncate(part, 0)
    throw new Error(`the server does not know the range from byte ${from}`)
  }
  const message = `${response.url} answered ${response.status}`
  throw response.status >= 500 || response.status === 429 ? new Error(message) : new AppError('upstream', `${message}.`)
}

async function writeBody(options: DownloadOptions, part: string, start: number, response: Response, alive: () => void) {
  const { record, report, now } = options
  const tell = createProgress({ report, now, totalBytes: record.sizeBytes, fromBytes: start })
  const file = await open(part, start > 0 ? 'r+' : 'w')
  let received = start
  try {
    for await (const chunk of response.body ?? []) {
      alive()
      if (received + chunk.length > record.sizeBytes) {
        await file.truncate(0)
        throw new AppError(
          'upstream',
          `${record.url} sent more than the ${record.sizeBytes} bytes that it announced. The download was removed.`,
        )
      }
      await file.write(chunk, 0, chunk.length, received)
      received += chunk.length
      tell(received)
    }
  } finally {
    await file.close()
  }
  if (received < record.sizeBytes) throw new Error(`only ${received} of ${record.sizeBytes} bytes arrived`)
}

function authorization({ token }: Hub): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? error.cause.message : undefined
  return cause === undefined || cause === '' ? error.message : `${error.message} (${cause})`
}
