import type { MessageAnswer } from '../../../src/conversations/schema.ts'

/** The text that says how an answer ended, where it did not simply end. */
export function endOf({ state, finish_reason }: MessageAnswer) {
  switch (state) {
    case 'stopped':
    case 'interrupted':
    case 'failed':
      return state
    default:
      return finish_reason === 'length' ? 'tooLong' : finish_reason === 'content_filter' ? 'refused' : undefined
  }
}
