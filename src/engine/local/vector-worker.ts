import { setImmediate } from 'node:timers/promises'
import type { FromVectorWorker, ToVectorWorker } from './vector-protocol.ts'
import { createVectorSpaces } from './vector-spaces.ts'

// The entry point of the process that finds vectors, and the only place where usearch is loaded.

const spaces = createVectorSpaces({
  send: (message: FromVectorWorker) => void process.send?.(message),
  pause: () => setImmediate(),
  now: () => performance.now(),
})

process.on('message', (message: ToVectorWorker) => spaces.receive(message))
// Without its parent it has nobody to work for. The parent decides when it ends: it may be told to stop together with it.
process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
