import { randomUUID } from 'node:crypto'
import { link, open, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { discard, isSystemError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { workBeside } from '../storage/beside.ts'
import { isProcessAlive } from '../storage/left-behind.ts'

export type LockOptions = Readonly<{
  path: string
  now: () => number
  wait: (ms: number) => Promise<void>
  /** The name of this machine or container; default: its host name. */
  host?: string
  /** Called once, when somebody else holds the lock; what it throws ends the waiting. */
  onWait: () => void
}>

const beatMs = 2000
const staleMs = 30_000
const lookMs = 500

/** What this process holds now. After a restart its number may be that of a process that died with a lock: the file says the same. */
const held = new Set<string>()
/** Locks that this process began to write, and could neither finish nor remove. */
const broken = new Set<string>()

/** Whoever holds a lock beats it meanwhile, by whatever clock it has. */
const doubtMs = 3 * beatMs

/** Runs `work` while nobody else does, in this process or another, so that two who want the same file share one download. */
export async function withLock<T>(options: LockOptions, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  await using _held = await holdLock(options, signal)
  return await work()
}

/**
 * Gives the lock, which is held until it is disposed of. One whose process on this machine is gone is taken over at once; one that nobody
 * has refreshed for half a minute, when nobody does so for some seconds more either: clocks may differ, or have been set.
 */
export async function holdLock(options: LockOptions, signal?: AbortSignal): Promise<AsyncDisposable> {
  const { host = hostname() } = options
  const owner = `${process.pid} ${randomUUID()} ${host}`
  await takeLock(options, owner, signal)
  const beat = setInterval(() => {
    const time = new Date(options.now())
    utimes(options.path, time, time).catch(() => undefined)
  }, beatMs)
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(beat)
      held.delete(owner)
      // One that stays is taken over: nobody holds it.
      if ((await findOwner(options.path).catch(() => undefined)) === owner) await discard(options.path)
    },
  }
}

async function takeLock(options: LockOptions, owner: string, signal: AbortSignal | undefined): Promise<void> {
  const { path, wait, onWait } = options
  let doubt: Doubt = { beatenMs: undefined, waitedMs: 0 }
  for (let isTold = false; ; ) {
    if (signal?.aborted) throw new AppError('aborted', 'It was stopped before it began.')
    if (await makeLock(path, owner)) return
    const found = await lookAt(options)
    doubt = found.isLate && found.beatenMs === doubt.beatenMs ? doubt : { beatenMs: found.beatenMs, waitedMs: 0 }
    if (found.isFree || doubt.waitedMs >= doubtMs) {
      await removeStale(path, found.owner)
      continue
    }
    if (!found.isLate && !isTold) onWait()
    isTold ||= !found.isLate
    await wait(lookMs)
    doubt = { ...doubt, waitedMs: doubt.waitedMs + lookMs }
  }
}

/** With its owner in it from the first moment: one of nobody would hold up all others for as long as it takes to be stale. */
async function makeLock(path: string, owner: string): Promise<boolean> {
  held.add(owner)
  try {
    await workBeside(path, async (beside) => {
      await writeFile(beside, owner, { flag: 'wx' })
      await link(beside, path).catch(async (error: unknown) => {
        // Some disks know no second names.
        if (!isSystemError(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS')) throw error
        await writeLock(path, owner)
      })
    })
    broken.delete(path)
    return true
  } catch (error) {
    held.delete(owner)
    if (isSystemError(error, 'EEXIST')) return false
    throw error
  }
}

async function writeLock(path: string, owner: string): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await file.writeFile(owner).finally(() => file.close())
  } catch (error) {
    await rm(path).catch(() => broken.add(path))
    throw error
  }
}

/** When a lock was beaten last that may be nobody's, and for how long it was not since. */
type Doubt = Readonly<{ beatenMs: number | undefined; waitedMs: number }>

type Found = Readonly<{ owner: string | undefined; beatenMs: number | undefined; isFree: boolean; isLate: boolean }>

async function lookAt({ path, now, host = hostname() }: Pick<LockOptions, 'path' | 'now' | 'host'>): Promise<Found> {
  const owner = await findOwner(path)
  const beatenMs = await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  )
  if (owner === undefined || beatenMs === undefined) return { owner, beatenMs, isFree: true, isLate: false }
  const isFree = broken.has(path) || !isAlive(owner, host)
  return { owner, beatenMs, isFree, isLate: Math.abs(now() - beatenMs) > staleMs }
}

/** Removes the lock of a process that is gone, or of another machine that has not beaten it for a day. Files that are no lock of ours stay. */
export async function removeLeftLock(path: string, now: () => number): Promise<void> {
  const { isFree, owner, beatenMs = now() } = await lookAt({ path, now })
  const isLong = lockFormat.test(owner ?? '') && now() - beatenMs > 24 * 3600 * 1000
  if (isFree || isLong) await removeStale(path, owner)
}

/** Removes the lock of nobody. It is renamed before it is removed, so that of two who find it only one can. */
async function removeStale(path: string, owner: string | undefined): Promise<void> {
  if (owner === undefined) return
  await workBeside(path, async (aside) => {
    try {
      await rename(path, aside)
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return
      throw error
    }
    // Somebody took the stale lock over in between, and this is theirs.
    if ((await findOwner(aside)) !== owner) await rename(aside, path)
  })
}

async function findOwner(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}

const lockFormat = /^(?<pid>\d+) [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?: (?<host>\S+))?$/

function isAlive(owner: string, here: string): boolean {
  const { pid, host = here } = lockFormat.exec(owner)?.groups ?? {}
  // Half written, or not by us. And containers that share a folder cannot see each other's processes. Only the beat tells of them.
  if (pid === undefined || host !== here) return true
  if (Number(pid) === process.pid) return held.has(owner)
  return isProcessAlive(Number(pid))
}
