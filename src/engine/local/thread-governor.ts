/** Below this share of its threads' time on the processor, a step was kept waiting by other programs. */
const calmShare = 0.85
/** Steps are judged together over at least so much time, since schedulers deal in slices of milliseconds. */
const windowMs = 100
/** How long fewer threads are used before all are tried again; doubled each time the machine is still busy. */
const firstPatienceMs = 1000
const longestPatienceMs = 30_000

export type ThreadGovernorParts = Readonly<{
  /** Threads to use when the machine is calm. */
  threads: number
  setThreads(threads: number): void
  /** Milliseconds. */
  now(): number
  /** Processor time of this process, all threads together, in milliseconds. */
  cpuTime(): number
}>

/**
 * Takes a thread away when the machine is shared. llama.cpp's threads wait for each other many times a step, by spinning: when
 * another program holds one of the cores, all of them stand still for whole time slices, and a step takes many times as long.
 * With one thread less than there are free cores nobody waits.
 */
export function createThreadGovernor({ threads, setThreads, now, cpuTime }: ThreadGovernorParts): { run<T>(step: () => T): T } {
  let used = threads
  let wallMs = 0
  let cpuMs = 0
  let patienceMs = firstPatienceMs
  let retryAt = 0
  let warm = false

  function use(count: number): void {
    if (count !== used) setThreads(count)
    used = count
    wallMs = 0
    cpuMs = 0
  }

  function judge(): void {
    const busyThreads = cpuMs / wallMs
    const calm = busyThreads >= used * calmShare
    if (calm && used === threads) patienceMs = firstPatienceMs
    // The first steps wait for the model's pages to come from the disk, not for other programs.
    const judged = warm
    warm = true
    if (judged && !calm && used > 1) {
      use(Math.max(1, Math.min(used - 1, Math.floor(busyThreads))))
      retryAt = now() + patienceMs
      patienceMs = Math.min(2 * patienceMs, longestPatienceMs)
    } else use(used)
  }

  return {
    run(step) {
      if (used < threads && now() >= retryAt) use(threads)
      const startedAt = now()
      const cpuBefore = cpuTime()
      const result = step()
      wallMs += now() - startedAt
      cpuMs += cpuTime() - cpuBefore
      if (wallMs >= windowMs) judge()
      return result
    },
  }
}
