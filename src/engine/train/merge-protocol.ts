import type { TensorWritten } from '../gguf/gguf-writer.ts'
import type { JobFailed } from '../local/run-job.ts'
import type { MergeJob } from './merge-adapter.ts'

export type ToMerger = Readonly<{ type: 'merge-start'; job: MergeJob }>

export type MergeEvent = TensorWritten | Readonly<{ type: 'merge-end' }>

export type FromMerger = MergeEvent | JobFailed
