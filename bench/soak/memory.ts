import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { type Memory, memoryOf } from '../processes.ts'
import { percentile } from '../statistics.ts'

/** Memory of one process of the service; `program` is the file that it runs, without its ending. */
export type ProcessMemory = Memory & Readonly<{ pid: number; program: string }>
export type Sample = Readonly<{ elapsedMs: number; processes: readonly ProcessMemory[] }>

export async function takeSample(pids: readonly number[], elapsedMs: number): Promise<Sample> {
  const processes = await Promise.all(
    pids.map(async (pid) => ({ pid, program: await programOf(pid), ...(await memoryOf([pid])) })),
  )
  return { elapsedMs, processes }
}

/** The script that a Node.js process runs. */
async function programOf(pid: number): Promise<string> {
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
  const script = words.find((word) => /\.[jt]s$/.test(word)) ?? words[0] ?? ''
  return basename(script).replace(/\.[jt]s$/, '')
}

export type Growth = Readonly<{
  program: string
  pid: number
  kind: 'resident' | 'anonymous'
  /** The median of the settled minute, the median of the last minute, and the most of all after the settled minute. */
  settledBytes: number
  lastBytes: number
  mostBytes: number
  /** The larger of both by which it has grown, as a part of the settled one. */
  growth: number
}>

const minuteMs = 60_000

/** How memory has grown since `settledMs`, for each process that was there at the end. */
export function measureGrowth(samples: readonly Sample[], settledMs: number): readonly Growth[] {
  const last = samples.at(-1)
  if (last === undefined) return []
  return last.processes.flatMap(({ pid, program }) =>
    (['resident', 'anonymous'] as const).map((kind): Growth => {
      const between = (from: number, to: number) =>
        samples
          .filter(({ elapsedMs }) => elapsedMs >= from && elapsedMs <= to)
          .flatMap(({ processes }) => processes.filter((one) => one.pid === pid))
          .map((one) => one[`${kind}Bytes`])
      const settledBytes = percentile(between(settledMs, settledMs + minuteMs), 50)
      const lastBytes = percentile(between(last.elapsedMs - minuteMs, last.elapsedMs), 50)
      const mostBytes = Math.max(...between(settledMs + minuteMs, last.elapsedMs))
      return { program, pid, kind, settledBytes, lastBytes, mostBytes, growth: Math.max(lastBytes, mostBytes) / settledBytes - 1 }
    }),
  )
}
