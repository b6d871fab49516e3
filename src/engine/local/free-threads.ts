import type { CpuInfo } from 'node:os'

type Times = Pick<CpuInfo, 'times'>

/** A core that is idle for so much of the time counts as free. */
const idleEnough = 0.75

/**
 * How many of so many threads find a core of their own, by what the machine's cores did between two moments; at least one.
 * For work that begins on a machine which may be busy with answers: threads of llama.cpp that share a core stand still together.
 */
export function freeThreads(threads: number, before: readonly Times[], after: readonly Times[]): number {
  const free = after.filter(({ times }, core) => {
    const earlier = before[core]?.times
    if (earlier === undefined) return false
    const passed = total(times) - total(earlier)
    return passed > 0 && (times.idle - earlier.idle) / passed >= idleEnough
  })
  return Math.max(1, Math.min(threads, free.length))
}

function total({ user, nice, sys, idle, irq }: CpuInfo['times']): number {
  return user + nice + sys + idle + irq
}
