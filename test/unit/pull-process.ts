import { setTimeout } from 'node:timers/promises'
import { createPull } from '../../src/models/pull.ts'
import { openEgress } from '../open-egress.ts'

// A pull in a process of its own, to be killed: node pull-process.ts ENDPOINT FOLDER NAME SEGMENT_BYTES
const [endpoint = '', modelsDir = '', name = '', segmentBytes] = process.argv.slice(2)

const pull = createPull({
  egress: openEgress().egress,
  modelsDir,
  endpoint,
  token: undefined,
  localOnly: false,
  freeBytes: async () => 1e12,
  memoryBudget: () => 1e12,
  now: Date.now,
  wait: (ms) => setTimeout(ms),
  limits: { segmentBytes: Number(segmentBytes), parallel: 4, stallMs: 20_000 },
})
for await (const { type } of pull(name, new AbortController().signal)) if (type === 'model-ready') process.stdout.write('ready')
