import koffi from 'koffi'

/** From sys/prctl.h and signal.h of Linux. */
const parentDeathSignal = 1
const killSignal = 9

/**
 * Has this process killed when its parent dies, in whatever way and even while it stands still. Only Linux can do so; elsewhere the end of
 * the channel to the parent has to be noticed.
 */
export function endWithParent(): void {
  if (process.platform !== 'linux') return
  const parent = process.ppid
  const prctl = koffi.load(null).func('int prctl(int option, ulong first, ulong second, ulong third, ulong fourth)')
  prctl(parentDeathSignal, killSignal, 0, 0, 0)
  // It may have died just before.
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL')
}
