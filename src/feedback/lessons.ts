import type { ChatMessage } from '../engine/provider.ts'

/**
 * What one feedback on one remembered answer teaches. Only the latest feedback of a user on an answer counts. A feedback that corrects an
 * answer and keeps it over another one gives two lessons, which share `chosen`.
 *
 * - `chosen` without `rejected`: an answer that was liked as it stands (a thumb up).
 * - `chosen` and `rejected`: an edited answer over the original one, or the answer that was kept over another one.
 * - `rejected` without `chosen`: an answer that was disliked (a thumb down); nothing says what would have been better.
 */
export type Lesson = Readonly<{
  feedbackId: string
  predictionId: string
  /** The same for all lessons of one conversation: a SHA-256, in hex, of its owner and how it begins. */
  conversation: string
  /** Null for an anonymous caller, and after the user was deleted. */
  userId: string | null
  /** What answered, with its adapter, as `base+adapter`. */
  model: string
  /** How the question was put: `text` is a prompt to be continued as it stands, and `messages` holds it as the only message of a user. */
  promptType: 'chat' | 'text'
  /** Ends with what is answered, never with the beginning of the answer: where the caller wrote that, it stands in both answers. */
  messages: readonly ChatMessage[]
  chosen: string | undefined
  rejected: string | undefined
  rating: 'up' | 'down'
  /** As the user typed it; not part of what is learned. */
  comment: string | null
  tags: readonly string[]
  /**
   * What a plain conversation does not hold of it: tools that were offered or called, pictures, or that the answer was stopped or cut
   * before its end (so that `chosen` has no end to learn; never so for a correction).
   */
  lacks: readonly ('tools' | 'images' | 'end')[]
  /** When the feedback was given; a UTC ISO 8601 text. */
  createdAt: string
}>

export type LessonFilter = Readonly<{
  rating?: 'up' | 'down'
  /** As answers name it, with its adapter. */
  model?: string
  userId?: string
  /** Of the feedback; UTC ISO 8601 texts. `from` is included, `to` is not. */
  from?: string
  to?: string
  /** One of the feedback's tags. */
  tag?: string
}>

export interface Lessons {
  /** Oldest feedback first, read a page at a time: a slow reader holds nothing open, and what is given meanwhile may come too. */
  list(filter: LessonFilter, signal?: AbortSignal): AsyncIterable<Lesson>
}
