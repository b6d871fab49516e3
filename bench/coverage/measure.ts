// `node bench/coverage/measure.ts [test files]` runs tests and says which share of the branches of each file they ran. Without test files:
// all of the project. --project: another one than `unit`; --keep FILE: add to what FILE holds of earlier runs; --show: say what it holds,
// and run nothing; --check: fail where modules, or folders where no test files are named, have less than they must have.
import { parseArgs } from 'node:util'
import { sharesOfFolders, sharesOfModules, shortOf } from './bars.ts'
import { type Counts, countTests, mergeCounts, withUnloaded } from './count-tests.ts'
import { readKept, saveKept } from './kept-counts.ts'
import { describeFiles, describeShare } from './report.ts'

const { values, positionals: tests } = parseArgs({
  allowPositionals: true,
  options: {
    project: { type: 'string', default: 'unit' },
    keep: { type: 'string' },
    show: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  },
})
const { project, keep, show, check } = values
const isWhole = tests.length === 0

const runs: Counts[] = keep === undefined ? [] : [await readKept(keep)]
if (!show) {
  const { counts, exitCode } = await countTests(project, tests)
  runs.push(counts)
  // Whether tests pass is what others look at.
  if (!check) process.exitCode = exitCode
}
const counted = mergeCounts(runs)
if (keep !== undefined) await saveKept(keep, counted)

const counts = isWhole ? await withUnloaded(counted) : counted
const modules = sharesOfModules(await withUnloaded(counted))
const folders = sharesOfFolders(counts)
for (const line of await describeFiles(counts)) console.log(line)
for (const share of [...folders, ...modules]) console.log(describeShare(share))
const short = shortOf({ modules, folders: isWhole ? folders : [] })
if (check && short.length > 0) {
  console.error(`Too few branches were run:\n${short.map(describeShare).join('\n')}`)
  process.exitCode = 1
}
