import { readdir, readFile } from 'node:fs/promises'

/** What the system knows of a process. */
export type ProcessActivity = Readonly<{
  /** Hundredths of a second that all of its threads have computed. */
  cpuTicks: number
  /** Pages that had to be read from a disk. */
  diskReads: number
  /** Whether one of its threads computes just now, wants to, or waits for a disk. */
  isAtWork: boolean
}>

/** Looks at a process. Undefined where the system does not tell (all but Linux), and for a process that is gone. */
export async function readActivity(pid: number): Promise<ProcessActivity | undefined> {
  if (process.platform !== 'linux') return undefined
  try {
    const threads = await readdir(`/proc/${pid}/task`)
    const [whole, ...each] = await Promise.all([
      readStat(`/proc/${pid}/stat`),
      ...threads.map((thread) => readStat(`/proc/${pid}/task/${thread}/stat`).catch(() => undefined)),
    ])
    const isAtWork = each.some((stat) => stat?.state === 'R' || stat?.state === 'D')
    return { cpuTicks: whole.cpuTicks, diskReads: whole.diskReads, isAtWork }
  } catch {
    return undefined
  }
}

type Stat = Readonly<{ state: string; cpuTicks: number; diskReads: number }>

/** See proc(5). Behind the name, which may hold anything, come the state (the third field) and numbers. */
async function readStat(path: string): Promise<Stat> {
  const text = await readFile(path, 'latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const number = (field: number) => Number(fields[field - 3])
  return { state: fields[0] ?? '', cpuTicks: number(14) + number(15), diskReads: number(12) }
}
