import { AppError } from '../../errors.ts'
import { openDequantize } from '../local/libggml-floats.ts'
import { findLibrary } from '../local/libllama.ts'
import { workForParent } from '../local/work-for-parent.ts'
import { mergeAdapter } from './merge-adapter.ts'
import type { FromMerger, ToMerger } from './merge-protocol.ts'

// The entry point of the child process that merges an adapter into its base: one job, then it is ended.

const leaving = new AbortController()
let working: Promise<void> = Promise.resolve()

const send = workForParent<ToMerger, FromMerger>(receive, {
  async onAlone() {
    leaving.abort()
    // What is half written is removed on the way out.
    await working.catch(() => {})
  },
})

async function receive({ job }: ToMerger): Promise<void> {
  const folder = findLibrary('cpu')
  if (folder === undefined) throw new AppError('unavailable', 'No llama.cpp library for "cpu" is installed here.')
  working = mergeAdapter(job, { dequantize: openDequantize(folder), report: send }, leaving.signal)
  await working
  send({ type: 'merge-end' })
}
