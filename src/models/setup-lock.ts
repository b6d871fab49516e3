import { open, readFile, rm, stat, utimes } from 'node:fs/promises'
import { isSystemError } from './verified-file.ts'

export type LockOptions = Readonly<{
  path: string
  now: () => number
  wait: (ms: number) => Promise<void>
  /** Called once, when another process holds the lock. */
  onWait: () => void
}>

const beatMs = 2000
const staleMs = 30_000

/**
 * Runs `work` while no other process does, so that two set-ups share one download. A lock whose process is gone, or
 * that nobody has refreshed for half a minute, is taken over.
 */
export async function withLock<T>(options: LockOptions, work: () => Promise<T>): Promise<T> {
  await takeLock(options)
  const beat = setInterval(() => {
    const time = new Date(options.now())
    utimes(options.path, time, time).catch(() => undefined)
  }, beatMs)
  try {
    return await work()
  } finally {
    clearInterval(beat)
    await rm(options.path, { force: true })
  }
}

async function takeLock({ path, now, wait, onWait }: LockOptions): Promise<void> {
  for (let told = false; ; told = true) {
    try {
      const file = await open(path, 'wx')
      await file.writeFile(String(process.pid))
      await file.close()
      return
    } catch (error) {
      if (!isSystemError(error, 'EEXIST')) throw error
    }
    if (await isStale(path, now())) {
      await rm(path, { force: true })
      continue
    }
    if (!told) onWait()
    await wait(500)
  }
}

async function isStale(path: string, time: number): Promise<boolean> {
  try {
    const [{ mtimeMs }, owner] = await Promise.all([stat(path), readFile(path, 'utf8')])
    return time - mtimeMs > staleMs || (owner !== '' && !isAlive(Number(owner)))
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false
    throw error
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return isSystemError(error, 'EPERM')
  }
}
