import { lookup as dnsLookup } from 'node:dns/promises'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import type { Egress, EgressCall } from '../engine/cloud/egress.ts'
import { discard, toDiskError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { makeFolder } from '../storage/make-folder.ts'
import { type Choice, chooseFiles } from './choose-files.ts'
import { lockOf } from './claim-name.ts'
import { createProgress, type PullEvent } from './download-events.ts'
import { createEventFeed } from './event-feed.ts'
import { type HubFile, listHubFiles } from './hub-listing.ts'
import type { Hub } from './hub-request.ts'
import { modelEnding, parseHubName, quoted } from './model-name.ts'
import { checkpointsFolder, onnxFile } from './onnx-models.ts'
import { withLock } from './process-lock.ts'
import { receiveFile, type TransferLimits, type TransferOptions, transferLimits } from './transfer.ts'
import { countBytes, filesOfPart, readState, removePart } from './transfer-state.ts'
import { checkSpace, findRecord, hashFile, hashGitBlob, installFile, type Origin, recordOf, saveRecord } from './verified-file.ts'

export type PullOptions = Readonly<{
  egress: Egress
  /** The addresses of a host's name. */
  lookup?: Hub['lookup']
  modelsDir: string
  /** The hub, for example `https://huggingface.co`. */
  endpoint: string
  token: string | undefined
  /** No call leaves the machine. */
  localOnly: boolean
  /** Bytes that may still be written to a folder. */
  freeBytes: (folder: string) => Promise<number>
  /** Bytes of memory that a model may take, to choose a quantization by. */
  memoryBudget: () => number
  now: () => number
  /** Rejects when the signal says so. */
  wait: TransferOptions['wait']
  limits?: TransferLimits
  open?: TransferOptions['open']
}>

/**
 * Downloads what a hub name means and installs it when its checksum is right; a repository without a GGUF file gives a checkpoint.
 * The last event is `model-ready` or `checkpoint-ready`. Whoever leaves the loop, or aborts, stops the download and keeps what arrived for
 * the next time. Two who pull the same, also in two processes, share one transfer.
 * Throws `invalid` (no hub name; nothing fits into memory), `not_found`, `forbidden`, `storage_full`, `conflict`, `unavailable`,
 * `upstream`, `rate_limited`, `aborted`. `user`: who asked for it, for the ledger.
 */
export type Pull = (name: string, signal: AbortSignal, user?: string) => AsyncGenerator<PullEvent, void, undefined>

type Report = (event: PullEvent) => void

export function createPull(options: PullOptions): Pull {
  return (name, signal, user) => toEvents((report, either) => pullCounted(options, { name, user, report }, either), signal)
}

type Order = Readonly<{ name: string; user: string | undefined; report: Report }>

async function pullCounted(options: PullOptions, order: Order, signal: AbortSignal): Promise<void> {
  const { name, user } = order
  const errand = options.egress.begin({ purpose: 'model-download', model: name, ...(user === undefined ? {} : { user }) })
  try {
    await pull(options, errand, order, signal)
  } finally {
    await errand.end()
  }
}

async function pull(options: PullOptions, errand: EgressCall, { name, report }: Order, signal: AbortSignal): Promise<void> {
  const { modelsDir, endpoint, token, now, wait } = options
  const asked = parseHubName(name)
  if (asked === undefined) {
    throw new AppError(
      'invalid',
      `${quoted(name)} is no name of the hub. Use owner/repository, owner/repository:Q4_K_M or hf:owner/repository/file.gguf.`,
    )
  }
  if (options.localOnly) throw new AppError('forbidden', 'LOCAL_ONLY is true: no model can be downloaded.')
  const { fetch, check } = errand
  const hub: Hub = { fetch, check, lookup: options.lookup ?? ((host) => dnsLookup(host, { all: true })), endpoint, token }
  const listing = await listHubFiles({ hub, now, wait }, asked.repository, signal)
  const choice = chooseFiles(listing, asked, options.memoryBudget())
  const job: Job = {
    ...options,
    hub,
    limits: options.limits ?? transferLimits,
    repository: asked.repository,
    commit: listing.commit,
    report,
  }
  try {
    makeFolder(modelsDir)
    const lock = { path: lockPath(job, choice), now, wait, onWait: () => report({ type: 'download-wait' }) }
    await mkdir(dirname(lock.path), { recursive: true })
    const work = choice.type === 'model' ? pullModel : pullCheckpoint
    const ready = await withLock(lock, () => work(job, choice.files, signal), signal)
    // Not before the lock is gone: who hears of it may remove the model at once.
    report(ready)
  } catch (error) {
    throw toDiskError(error, modelsDir)
  }
}

type Job = Omit<PullOptions, 'limits'> & TransferOptions & Readonly<{ repository: string; commit: string; report: Report }>

type Wanted = Readonly<{ file: HubFile; target: string }>

function lockPath({ modelsDir, repository }: Job, { type, files }: Choice): string {
  return type === 'model' ? lockOf(modelsDir, nameOf(files[0])) : `${checkpointFolder(modelsDir, repository)}.lock`
}

/** The name of a model's file, with the ending that a listing looks for. */
function nameOf(file: HubFile | undefined): string {
  return basename(file?.path ?? '').replace(/\.gguf$/i, modelEnding)
}

const checkpointFolder = (modelsDir: string, repository: string) => join(modelsDir, checkpointsFolder, ...repository.split('/'))

async function pullModel(job: Job, files: readonly HubFile[], signal: AbortSignal): Promise<PullEvent> {
  const folder = await chooseFolder(job, files, signal)
  const wanted = files.map((file): Wanted => ({ file, target: join(folder, nameOf(file)) }))
  const [first, ...later] = wanted
  if (first === undefined) throw new AppError('internal', 'A model without files was to be pulled.')
  const file = relative(job.modelsDir, first.target)
  const missing = await receiveAll(job, wanted, file, signal)
  // A split model is listed from its first file on: while others of its files change, it is away.
  if (later.length > 0 && missing.some(({ target }) => target === first.target)) await rm(first.target, { force: true })
  for (const { install } of missing.toReversed()) await install()
  return { type: 'model-ready', file, name: file.slice(0, -modelEnding.length).replaceAll(sep, '/') }
}

async function pullCheckpoint(job: Job, files: readonly HubFile[], signal: AbortSignal): Promise<PullEvent> {
  const folder = checkpointFolder(job.modelsDir, job.repository)
  const wanted = files.map((file): Wanted => ({ file, target: join(folder, file.path) }))
  const missing = await receiveAll(job, wanted, relative(job.modelsDir, folder), signal)
  const made = join(folder, onnxFile)
  // What was made of other weights or another tokenizer must not be taken for a model of these.
  if (missing.length > 0) await rm(made, { force: true })
  for (const { install } of missing) await install()
  const kept = new Set([made, ...wanted.flatMap(({ target }) => [target, recordOf(target)])])
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    // What an older commit had besides would be taken for a part of this one.
    if (!entry.isDirectory() && !kept.has(path)) await rm(path)
  }
  return { type: 'checkpoint-ready', folder, repository: job.repository }
}

/** The models folder itself; where another model has that file name, a folder that is called as on the hub. */
async function chooseFolder(job: Job, files: readonly HubFile[], signal: AbortSignal): Promise<string> {
  const own = join(job.modelsDir, ...job.repository.split('/'), dirname(files[0]?.path ?? ''))
  const folders = [job.modelsDir, own]
  for (const folder of folders) {
    const isFree = await Promise.all(files.map((file) => isOurs(job, { file, target: join(folder, nameOf(file)) }, signal)))
    if (isFree.every(Boolean)) return folder
  }
  throw new AppError('conflict', `Another file has the name that ${nameOf(files[0])} would get in ${own}. Rename or remove it.`)
}

async function isOurs(job: Job, wanted: Wanted, signal: AbortSignal): Promise<boolean> {
  if ((await stat(wanted.target).catch(() => undefined)) === undefined) return true
  const origin = (await findRecord(wanted.target))?.origin
  return (origin?.repository === job.repository && origin.path === wanted.file.path) || isWhole(job, wanted, signal)
}

/** Whether the very file is there; one that was put there by hand gets its record. */
async function isWhole(job: Job, { file, target }: Wanted, signal: AbortSignal): Promise<boolean> {
  const found = await stat(target).catch(() => undefined)
  if (found?.isFile() !== true || found.size !== file.sizeBytes) return false
  const record = await findRecord(target)
  if (record?.origin !== undefined && file.digest.algorithm === 'sha256') return record.sha256 === file.digest.hex
  const sha256 = await verify(file, target, signal)
  if (sha256 !== undefined) await saveRecord(target, { sha256, origin: originOf(job, file) })
  return sha256 !== undefined
}

type Received = Readonly<{ target: string; install: () => Promise<void> }>

/** Fetches what is missing into `.part` files and checks it; nothing is installed until all is there. */
async function receiveAll(job: Job, wanted: readonly Wanted[], name: string, signal: AbortSignal): Promise<readonly Received[]> {
  const missing: Wanted[] = []
  for (const one of wanted) {
    if (!(await isWhole(job, one, signal))) missing.push(one)
    else await discard(...filesOfPart(`${one.target}.part`))
  }
  if (missing.length === 0) return []
  for (const { target } of missing) await mkdir(dirname(target), { recursive: true })
  const sizeOf = (files: readonly Wanted[]) => files.reduce((sum, { file }) => sum + file.sizeBytes, 0)
  const parts = await Promise.all(missing.map(async ({ file, target }) => countBytes(await readState(`${target}.part`, file))))
  const fromParts = parts.reduce((sum, bytes) => sum + bytes, 0)
  await checkSpace(job, job.modelsDir, sizeOf(missing) - fromParts)
  const totalBytes = sizeOf(wanted)
  const before = totalBytes - sizeOf(missing)
  job.report({ type: 'download-start', file: name, totalBytes, from: 'hub' })
  const tell = createProgress({ report: job.report, now: job.now, totalBytes, fromBytes: before + fromParts })
  const received = parts.slice()
  const results: Received[] = []
  for (const [index, one] of missing.entries()) {
    const onBytes = (bytes: number) => {
      received[index] = bytes
      tell(before + received.reduce((sum, part) => sum + part, 0))
    }
    results.push(await receiveOne(job, one, onBytes, signal))
  }
  return results
}

async function receiveOne(
  job: Job,
  { file, target }: Wanted,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<Received> {
  const part = `${target}.part`
  for (;;) {
    const { resumed } = await receiveFile(job, { file, part, onBytes }, signal)
    job.report({ type: 'file-check', file: relative(job.modelsDir, target) })
    const sha256 = await verify(file, part, signal)
    if (sha256 !== undefined) {
      const install = async () => {
        await installFile(part, target, { sha256, origin: originOf(job, file) })
        // It is installed: what stays of the transfer goes with the next pull.
        await discard(...filesOfPart(part))
      }
      return { target, install }
    }
    await removePart(part)
    // What was there before may have been damaged: one whole transfer tells.
    if (!resumed) throw new AppError('upstream', `${file.url} sent other bytes than its checksum says. The download was removed.`)
  }
}

const originOf = ({ repository, commit }: Job, { path }: HubFile): Origin => ({ repository, commit, path })

/** The SHA-256 of a file when it is the one that the hub has recorded, else undefined. */
async function verify({ digest }: HubFile, path: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const sha256 = await hashFile(path, signal)
    const found = digest.algorithm === 'sha256' ? sha256 : await hashGitBlob(path)
    return found === digest.hex ? sha256 : undefined
  } catch (error) {
    throw signal.aborted
      ? new AppError('aborted', 'The download was stopped. Start it again to go on with it.', { cause: error })
      : error
  }
}

/** What `work` reports, as it does; ends with it. */
async function* toEvents(
  work: (report: Report, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): AsyncGenerator<PullEvent, void, undefined> {
  const left = new AbortController()
  const feed = createEventFeed()
  const working = work(feed.push, AbortSignal.any([signal, left.signal])).then(() => feed.end(), feed.end)
  try {
    yield* feed.read()
  } finally {
    left.abort()
    await working
  }
}
