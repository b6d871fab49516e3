import { parseArgs } from 'node:util'
import { type FileKind, fileKinds } from './hostile-files.ts'
import { type Outcome, tryFiles } from './try-files.ts'

// node test/fuzz/run.ts --files 50 --seed 1 [--kind pdf]: hostile files of each kind, read as the service reads them, and what came of it.

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '50' },
    seed: { type: 'string', default: '1' },
    kind: { type: 'string', multiple: true },
  },
})

/** Of a file that is none of the kinds' own slow work: longer than this is a fault. */
const mostMs = 30_000
const isFault = ({ result, ms }: Outcome) => result === 'fault' || ms > mostMs

function report(kind: FileKind, outcomes: readonly Outcome[]): string {
  const counts = new Map<string, number>()
  for (const { result } of outcomes) counts.set(result, (counts.get(result) ?? 0) + 1)
  const times = outcomes.map(({ ms }) => ms).toSorted((one, other) => one - other)
  const [median, slowest] = [times[times.length >> 1], times.at(-1)]
  const parts = [...counts].toSorted(([one], [other]) => one.localeCompare(other)).map(([result, count]) => `${result} ${count}`)
  return `| ${kind} | ${outcomes.length} | ${parts.join(', ')} | ${median} | ${slowest} |`
}

const unforeseen: unknown[] = []
process.on('unhandledRejection', (error) => void unforeseen.push(error))
console.log('| kind | files | results | median ms | slowest ms |\n|---|---|---|---|---|')
let faults = 0
for (const kind of fileKinds) {
  if (values.kind !== undefined && !values.kind.includes(kind)) continue
  const outcomes: Outcome[] = []
  for await (const outcome of tryFiles(kind, Number(values.files), Number(values.seed))) {
    outcomes.push(outcome)
    if (isFault(outcome)) console.error(`${kind} ${outcome.index} (${outcome.ms} ms): ${outcome.message}`)
  }
  faults += outcomes.filter(isFault).length
  console.log(report(kind, outcomes))
}
console.log(
  `\n${faults} faults, ${unforeseen.length} unhandled rejections; peak memory of this process ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`,
)
for (const error of unforeseen) console.error(error)
process.exitCode = faults + unforeseen.length === 0 ? 0 : 1
