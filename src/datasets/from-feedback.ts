import type { TrainingExample } from '../engine/train/example.ts'
import type { Lesson, LessonFilter } from '../feedback/lessons.ts'
import type { OtherFeedback, OthersFilter } from './count-others.ts'
import { exportLine } from './export-line.ts'
import type { FeedbackReport, LeftOutReason } from './report.ts'

/** `method`: `sft` for answers to learn, `dpo` for pairs of a better and a worse one. */
export type FeedbackChoice = OthersFilter & Readonly<{ method: 'sft' | 'dpo' }>

export type LessonsPart = Readonly<{
  list: (filter: LessonFilter, signal?: AbortSignal) => AsyncIterable<Lesson>
  /** Feedback that the filter lets through and that gives no lesson. */
  countOthers: (filter: OthersFilter) => Promise<OtherFeedback>
}>

/**
 * Writes what feedback teaches as lines in the form of an export, and counts what is left out. `report` is whole once the lines have
 * ended.
 */
export function createFeedbackLines(lessons: LessonsPart, choice: FeedbackChoice, signal: AbortSignal) {
  const { method, tags, ...rest } = choice
  // Feedback with one tag can be looked for; with one of several, all of it is looked through.
  const [tag] = tags ?? []
  const filter: LessonFilter = tags?.length === 1 && tag !== undefined ? { ...rest, tag } : rest
  const leftOut = new Map<LeftOutReason, number>()
  const counts = { lessons: 0, used: 0, textPrompts: 0 }
  const leave = (reason: LeftOutReason, count = 1) => {
    if (count > 0) leftOut.set(reason, (leftOut.get(reason) ?? 0) + count)
  }

  async function* listChosen(): AsyncGenerator<Lesson> {
    for await (const lesson of lessons.list(filter, signal))
      if (tags === undefined || tags.some((one) => lesson.tags.includes(one))) yield lesson
  }

  /** Answers of which somebody has written a better one. */
  async function findCorrected(): Promise<ReadonlySet<string>> {
    const corrected = new Set<string>()
    for await (const { predictionId, chosen, rejected } of listChosen())
      if (chosen !== undefined && rejected !== undefined) corrected.add(predictionId)
    return corrected
  }

  async function* lines(): AsyncGenerator<string> {
    const corrected = method === 'sft' ? await findCorrected() : new Set<string>()
    // One feedback can give two lessons with the same answer.
    const learned = new Set<string>()
    for await (const lesson of listChosen()) {
      counts.lessons += 1
      const reason = findReason(lesson, method, corrected)
      const isRepeated = method === 'sft' && learned.has(lesson.feedbackId)
      if (reason !== undefined || isRepeated) leave(reason ?? 'repeated')
      else {
        learned.add(lesson.feedbackId)
        counts.used += 1
        if (lesson.promptType === 'text') counts.textPrompts += 1
        yield `${exportLine(toExample(lesson, method))}\n`
      }
    }
    const others = await lessons.countOthers(tags === undefined ? rest : { ...rest, tags })
    leave('text-only', others.textOnly)
    leave('gone', others.gone)
    leave('superseded', others.superseded)
    leave('by-others', others.byOthers)
  }

  return {
    lines,
    report: (): FeedbackReport => ({ ...counts, leftOut: [...leftOut].map(([reason, count]) => ({ reason, count })) }),
  }
}

function findReason(lesson: Lesson, method: FeedbackChoice['method'], corrected: ReadonlySet<string>): LeftOutReason | undefined {
  const { chosen, rejected, lacks, predictionId } = lesson
  if (chosen === undefined) return 'disliked'
  if (method === 'dpo' && rejected === undefined) return 'no-other-answer'
  if (method === 'sft' && rejected === undefined && corrected.has(predictionId)) return 'corrected'
  return lacks[0]
}

function toExample({ messages, chosen = '', rejected = '' }: Lesson, method: FeedbackChoice['method']): TrainingExample {
  if (method === 'dpo') return { type: 'preference', messages, chosen, rejected }
  const before = messages.flatMap(({ role }, place) => (role === 'assistant' ? [place] : []))
  const all = [...messages, { role: 'assistant', content: chosen } as const]
  // Nobody has said that the earlier answers of the conversation were good.
  return { type: 'chat', messages: all, ...(before.length === 0 ? {} : { learned: [messages.length] }) }
}
