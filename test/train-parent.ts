import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { TrainJob } from '../src/engine/train/protocol.ts'
import { runTraining, spawnTrainer } from '../src/engine/train/train-process.ts'

// A parent to be killed: runs the training of a job file, has it stand still at its third step, and tells its number.
const job: TrainJob = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8'))
const run = runTraining(job, { spawn: () => spawnTrainer(() => {}), signal: new AbortController().signal })
for await (const event of run.events) {
  if (event.type !== 'train-step' || event.step !== 3) continue
  run.pause()
  const children = execFileSync('ps', ['--ppid', String(process.pid), '-o', 'pid=,args='], { encoding: 'utf8' })
  const pid = children.split('\n').find((line) => line.includes('train-worker'))
  process.stdout.write(`${Number.parseInt(pid ?? '0', 10)}\n`)
}
