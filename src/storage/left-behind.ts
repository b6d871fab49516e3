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
