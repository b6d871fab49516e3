import { cpus } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import { createChatTemplateRenderer } from '../chat-template.ts'
import { freeThreads } from '../local/free-threads.ts'
import { findLibrary, openLibrary } from '../local/libllama.ts'
import { openLlamaScorer } from '../local/llama-scorer.ts'
import { workForParent } from '../local/work-for-parent.ts'
import { readExampleLines } from './example-lines.ts'
import { createExampleReader } from './example-tokens.ts'
import { scoreExamples } from './score-examples.ts'
import type { FromScorer, ScoreJob, ToScorer } from './score-protocol.ts'

// The entry point of the child process that scores examples: one job, then it is ended.

/** Events that the parent has not read yet, at most. */
const mostAhead = 2
/** How long the machine is watched before a model computes. */
const watchMs = 300

let unread = 0
let onRead = () => {}

const send = workForParent<ToScorer, FromScorer>(async (message) => {
  if (message.type === 'score-start') await score(message.job)
  else {
    unread -= 1
    onRead()
  }
})

async function score({ modelPath, adapterPath, examplesFile, maxLength, threads }: ScoreJob): Promise<void> {
  const before = cpus()
  await wait(watchMs)
  const folder = findLibrary('cpu')
  if (folder === undefined) throw new AppError('unavailable', 'No llama.cpp library for "cpu" is installed here.')
  const llama = openLibrary(folder, () => {})
  const options = { path: modelPath, adapterPath, contextSize: maxLength, threads: freeThreads(threads, before, cpus()) }
  const scorer = openLlamaScorer(llama, options)
  const renderer = createChatTemplateRenderer()
  const reader = createExampleReader({ model: scorer, tokenizer: scorer, renderer, maxLength: scorer.contextSize })
  for await (const event of scoreExamples(readExampleLines(examplesFile), { reader, scorer, now: () => performance.now() })) {
    send(event)
    unread += 1
    while (unread >= mostAhead)
      await new Promise<void>((resolve) => {
        onRead = resolve
      })
  }
}
