import type { ChatMessage } from '../provider.ts'

/** What is learned from in one piece. `weight`: how much it counts, 1 where absent. */
export type TrainingExample =
  /**
   * A conversation: the model learns to write the messages of the assistant. `learned`: only these of them, by their places in
   * `messages`; the others are there to be read. Absent: all.
   */
  | Readonly<{ type: 'chat'; messages: readonly ChatMessage[]; learned?: readonly number[]; weight?: number }>
  /** Plain text: the model learns all of it. */
  | Readonly<{ type: 'text'; text: string; weight?: number }>
  /** Two answers to the same conversation, which ends with the user: the model learns to prefer one. */
  | Readonly<{ type: 'preference'; messages: readonly ChatMessage[]; chosen: string; rejected: string; weight?: number }>
