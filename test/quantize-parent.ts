import { runQuantization, spawnQuantizer } from '../src/engine/local/quantize-process.ts'

// A parent to be killed: quantizes SOURCE into TARGET.
const [source = '', target = ''] = process.argv.slice(2)
const job = { source, target, quantization: 'IQ4_XS', calibrationText: undefined, threads: 1 } as const
const options = { spawn: () => spawnQuantizer(() => {}), signal: new AbortController().signal }
for await (const { type } of runQuantization(job, options)) process.stdout.write(`${type}\n`)
