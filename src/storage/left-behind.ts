import { hostname } from 'node:os'

/** Whether a process of that number runs on this machine, whoever's it is. */
export function isProcessAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/**
 * Whether what bears the number of a process was left by one that has ended. To be asked before this process writes anything: what bears
 * its own number is then of one before it, as in a container, where the number is always the same.
 */
export function isLeftBehind(pid: number): boolean {
  return pid === process.pid || !isProcessAlive(pid)
}

const ownHost = hostname().replace(/[^A-Za-z0-9_-]/g, '_')

/** What a process names its files by in a folder that several machines may share: its number, and where that means something. */
export const processMark = `${process.pid}@${ownHost}`

/** As `markFormat` matches it; without a host it is of this machine. */
export const markFormat = /^(\d+)(?:@([\w-]+))?$/

const longMs = 24 * 3600 * 1000

/** As `isLeftBehind`; of another machine is known only how old its files are. */
export function isMarkLeftBehind(mark: string, ageMs: number): boolean {
  const [, pid, host = ownHost] = markFormat.exec(mark) ?? []
  if (pid === undefined) return true
  return host === ownHost ? isLeftBehind(Number(pid)) : ageMs > longMs
}
