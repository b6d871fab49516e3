import { cpus, loadavg, totalmem } from 'node:os'
import { setTimeout } from 'node:timers/promises'

/** Share of the cores that may be busy with something else before a measurement is not worth having. */
export const calmShare = 0.1
const sampleMs = 250

/** The share of the cores' time that was used during `periodMs`, from 0 to 1. */
export async function busyShare(periodMs: number): Promise<number> {
  const before = readTimes()
  await setTimeout(periodMs)
  const after = readTimes()
  return 1 - (after.idle - before.idle) / Math.max(1, after.total - before.total)
}

function readTimes(): Readonly<{ idle: number; total: number }> {
  let idle = 0
  let total = 0
  for (const { times } of cpus()) {
    idle += times.idle
    total += times.idle + times.user + times.nice + times.sys + times.irq
  }
  return { idle, total }
}

/** Waits until the machine is calm, but not longer than `limitMs`; gives the share that was busy last. */
export async function waitUntilCalm(limitMs: number): Promise<number> {
  const deadline = performance.now() + limitMs
  for (;;) {
    const share = await busyShare(sampleMs)
    if (share <= calmShare || performance.now() >= deadline) return share
  }
}

export type MachineInfo = Readonly<{ cpu: string; cores: number; memoryBytes: number; load: readonly number[]; system: string }>

export function describeMachine(): MachineInfo {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() ?? process.arch,
    cores: processors.length,
    memoryBytes: totalmem(),
    load: loadavg(),
    system: `${process.platform} ${process.arch}`,
  }
}

/** What a report says of the circumstances in which it was made. */
export type About = Readonly<{ version: string; node: string; machine: MachineInfo; date: Date }>

export function formatAbout({ version, node, machine, date }: About): string {
  const load = machine.load.map((value) => value.toFixed(2)).join(' ')
  return [
    `simpleIA ${version} · Node.js ${node} · ${date.toISOString()}`,
    `${machine.cpu} · ${machine.cores} cores · ${machine.system} · load ${load}`,
  ].join('\n')
}
