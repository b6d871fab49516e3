import { readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine, formatAbout, waitUntilCalm } from '../machine.ts'
import { messageOf } from '../messages.ts'
import { firstModel } from '../own-server.ts'
import { processTree } from '../processes.ts'
import { measureDocuments } from './documents.ts'
import { measureMemory } from './memory.ts'
import { measureRequests } from './requests.ts'
import { measureSharing } from './sharing.ts'
import { type Table, toMarkdown, writeInto } from './tables.ts'
import type { Part, World } from './world.ts'

// Measures what each part of the service costs on this machine, for docs/operations-scale.md:
// node bench/scale/main.ts [--quick] [--only memory,documents,requests,sharing] [--minutes N] [--model FILE] [--json FILE] [--write FILE.md]

const parts: ReadonlyArray<readonly [string, Part]> = [
  ['memory', measureMemory],
  ['requests', measureRequests],
  ['documents', measureDocuments],
  ['sharing', measureSharing],
]

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    minutes: { type: 'string', default: '8' },
    model: { type: 'string' },
    json: { type: 'string' },
    write: { type: 'string' },
  },
})

const wanted = values.only?.split(',') ?? parts.map(([name]) => name)
const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
const modelPath = values.model ?? (await firstModel('model_llm'))
const startedAt = performance.now()
/** Why no more is measured. */
let over: string | undefined
function note(text: string): void {
  // Here, between two measurements, all that was opened is closed on the way out.
  if (over !== undefined) throw new Error(over)
  process.stderr.write(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s  ${text}\n`)
}
const world: World = {
  isQuick: values.quick,
  modelFile: modelPath === undefined ? undefined : basename(modelPath),
  modelsDir: resolve(modelPath === undefined ? 'model_llm' : dirname(modelPath)),
  note,
}

/** By their names; one that comes again has more in it. */
const tables = new Map<string, Table>()
const failures: string[] = []
const busyBefore = values.quick ? undefined : await waitUntilCalm(10_000)
const about = { version, node: process.versions.node, machine: describeMachine(), date: new Date() }

async function measure(): Promise<void> {
  for (const [name, part] of parts) {
    if (!wanted.includes(name)) continue
    try {
      for await (const table of part(world)) tables.set(table.name, table)
    } catch (error) {
      failures.push(`${name}: ${messageOf(error)}`)
      process.stderr.write(`${name} failed: ${messageOf(error)}\n`)
    }
  }
}

async function report(): Promise<void> {
  const measured = [...tables.values()]
  const text = measured.map((table) => `${table.name}\n\n${toMarkdown(table)}`).join('\n\n')
  process.stdout.write(`${formatAbout(about)}\n\n${text}\n`)
  const all = {
    ...about,
    seconds: (performance.now() - startedAt) / 1000,
    busyBefore,
    quick: values.quick,
    failures,
    tables: measured,
  }
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(all, null, 2)}\n`)
  if (values.write === undefined) return
  const missing = await writeInto(values.write, measured)
  if (missing.length > 0) process.stderr.write(`${values.write} has no place for: ${missing.join(', ')}\n`)
}

const graceMs = 30_000

/** What is under way may end; what does not is killed, with all that this process has started. */
function giveUp(reason: string): void {
  over = reason
  setTimeout(async () => {
    failures.push(`${reason}, and what was under way did not end`)
    await report()
    const descendants = (await processTree(process.pid)).filter((pid) => pid !== process.pid)
    for (const pid of descendants.toReversed()) process.kill(pid, 'SIGKILL')
    process.exit(1)
  }, graceMs).unref()
}

const limit = setTimeout(() => giveUp(`${values.minutes} minutes are over`), Number(values.minutes) * 60_000)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => giveUp(`ended by ${signal}`))
await measure()
clearTimeout(limit)
await report()
process.exitCode = failures.length > 0 ? 1 : 0
