import { runMerge, spawnMerger } from '../src/engine/train/merge-process.ts'

// A parent to be killed: merges ADAPTER into BASE as TARGET.
const [basePath = '', adapterPath = '', target = ''] = process.argv.slice(2)
const options = { spawn: () => spawnMerger(() => {}), signal: new AbortController().signal }
for await (const { type } of runMerge({ basePath, adapterPath, target, outputType: 'F32' }, options))
  process.stdout.write(`${type}\n`)
