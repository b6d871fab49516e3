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

/** What this process holds now. After a restart its number may be that of a process that died with a lock: the file says the same. */
const held = new Set<string>()
/** Locks that this process began to write, and could neither finish nor remove. */
const broken = new Set<string>()

/**
 * Runs `work` while nobody else does, in this process or another, so that two who want the same file share one download.
 * A lock whose process on this machine is gone, or that nobody has refreshed for half a minute, is taken over.
 */
export async function withLock<T>(options: LockOptions, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const { host = hostname() } = options
  const owner = `${process.pid} ${randomUUID()} ${host}`
  await takeLock(options, owner, signal)
  const beat = setInterval(() => {
    const time = new Date(options.now())
    utimes(options.path, time, time).catch(() => undefined)
  }, beatMs)
  try {
    return await work()
  } finally {
    clearInterval(beat)
    held.delete(owner)
    // One that stays is taken over: nobody holds it.
    if ((await findOwner(options.path).catch(() => undefined)) === owner) await discard(options.path)
  }
}

async function takeLock(
  { path, now, wait, onWait, host = hostname() }: LockOptions,
  owner: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let told = false; ; told = true) {
    if (signal?.aborted) throw new AppError('aborted', 'The download was stopped.')
    held.add(owner)
    try {
      await make(path, owner)
      return
    } catch (error) {
      held.delete(owner)
      if (!isSystemError(error, 'EEXIST')) throw error
    }
    if (await removeStale(path, now(), host)) continue
    if (!told) onWait()
    await wait(500)
  }
}

/** With its owner in it from the first moment: one of nobody would hold up all others for as long as it takes to be stale. */
async function make(path: string, owner: string): Promise<void> {
  await workBeside(path, async (beside) => {
    await writeFile(beside, owner, { flag: 'wx' })
    await link(beside, path).catch(async (error: unknown) => {
      // Some disks know no second names.
      if (!isSystemError(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS')) throw error
      await writeLock(path, owner)
    })
  })
  broken.delete(path)
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

/** Removes a lock of nobody. */
export async function removeLeftLock(path: string, now: number): Promise<void> {
  await removeStale(path, now, hostname())
}

/** Whether there was a lock of nobody. It is renamed before it is removed, so that of two who find it only one can. */
async function removeStale(path: string, time: number, host: string): Promise<boolean> {
  const owner = await findOwner(path)
  if (owner === undefined) return true
  const beaten = await stat(path).catch(() => undefined)
  if (beaten === undefined) return true
  const isHeld = !broken.has(path) && (owner === '' || isAlive(owner, host))
  if (time - beaten.mtimeMs <= staleMs && isHeld) return false
  return workBeside(path, async (aside) => {
    try {
      await rename(path, aside)
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return true
      throw error
    }
    // Somebody took the stale lock over in between, and this is theirs.
    if ((await findOwner(aside)) !== owner) await rename(aside, path)
    return true
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

function isAlive(owner: string, here: string): boolean {
  const [number, , host = here] = owner.split(' ')
  // Containers that share a folder cannot see each other's processes: only the beat tells of them.
  if (host !== here) return true
  const pid = Number(number)
  if (pid === process.pid) return held.has(owner)
  return isProcessAlive(pid)
}
