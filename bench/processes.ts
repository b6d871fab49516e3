import { readdir, readFile, readlink } from 'node:fs/promises'
import { sum } from './statistics.ts'

// What Linux tells of processes. Elsewhere everything here is undefined or empty, and the measures that need it stay out.

/** Linux counts processor time for programs in hundredths of a second on every architecture that Node.js runs on. */
const ticksPerSecond = 100
const listening = '0A'

/** The process on this machine that listens on a TCP port. */
export async function findListener(port: number): Promise<number | undefined> {
  const sockets = new Set(await listeningSockets(port))
  if (sockets.size === 0) return undefined
  for (const pid of await processIds()) {
    const files = await readdir(`/proc/${pid}/fd`).catch(() => [])
    const targets = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')))
    if (targets.some((target) => sockets.has(target))) return pid
  }
  return undefined
}

async function listeningSockets(port: number): Promise<readonly string[]> {
  const tables = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map(readText))
  const rows = tables.flatMap((table) => table.split('\n').slice(1))
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, address = '', , state]) => state === listening && Number.parseInt(address.split(':')[1] ?? '', 16) === port)
    .map((columns) => `socket:[${columns[9]}]`)
}

/** Lowest first: a parent that hands its socket on to children comes before them. */
async function processIds(): Promise<readonly number[]> {
  const names = await readdir('/proc').catch(() => [])
  return names
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((one, other) => one - other)
}

/** A process and all that descend from it. */
export async function processTree(root: number): Promise<readonly number[]> {
  const parents = await Promise.all((await processIds()).map(async (pid) => [pid, await parentOf(pid)] as const))
  const tree = [root]
  for (const member of tree) tree.push(...parents.filter(([, parent]) => parent === member).map(([pid]) => pid))
  return tree
}

async function parentOf(pid: number): Promise<number> {
  return Number(statFields(await readText(`/proc/${pid}/stat`))[1])
}

/** From the state on: the name of the program before it may hold spaces and brackets. */
function statFields(text: string): readonly string[] {
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** Seconds of processor time that one process has used, without its children. */
export async function cpuSeconds(pid: number): Promise<number> {
  const fields = statFields(await readText(`/proc/${pid}/stat`))
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

export type Memory = Readonly<{ residentBytes: number; anonymousBytes: number }>

/** Of all these processes together: in memory, and of that what is in no file (a mapped model file is not in it). */
export async function memoryOf(pids: readonly number[]): Promise<Memory> {
  const texts = await Promise.all(pids.map((pid) => readText(`/proc/${pid}/status`)))
  const total = (name: string) =>
    sum(texts.map((text) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0))) * 1024
  return { residentBytes: total('VmRSS'), anonymousBytes: total('RssAnon') }
}

function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '')
}
