import type { GenerateEvent } from '../engine/provider.ts'
import { type ChoiceEvent, createCollector } from './collect.ts'
import type { RecordedAnswer, Recorder } from './predict.ts'

/** Follows one answer while it is told, and has it remembered. */
export type Recording = Readonly<{
  saw(event: ChoiceEvent): void
  /** It has come to its end, which is not told yet. Never rejects. */
  end(event: Extract<GenerateEvent, { type: 'generation-end' }>): Promise<void>
  /** It ends where it is: it was left, stopped, or has failed. Never rejects. */
  left(): Promise<void>
}>

export function createRecording(
  recorder: Recorder,
  answer: Pick<RecordedAnswer, 'id' | 'asker' | 'request' | 'target'>,
): Recording | undefined {
  if (answer.request.remember === false) return undefined
  const collector = createCollector()
  return {
    saw: (event) => collector.add(event),
    end: ({ usage, timings }) => recorder.record({ ...answer, choices: collector.soFar(), usage, timings }),
    async left() {
      const choices = collector.soFar()
      // What nobody has seen, nobody can rate.
      if (choices.length > 0) await recorder.record({ ...answer, choices, usage: undefined, timings: undefined })
    },
  }
}
