import type { ConversationSettings } from '../../src/conversations/schema.ts'

/** The conversation that is shown, as the parts of the page around its messages see it. What is read is reactive. */
export interface ShownConversation {
  /** Undefined until the first question is sent. */
  readonly id: string | undefined
  readonly title: string
  readonly settings: ConversationSettings
  /** Whether an answer is being written. */
  readonly isWriting: boolean
  /** Keeps them: with the conversation, or until it has a place on the service. Throws AppError. */
  changeSettings(settings: ConversationSettings): Promise<void>
}

/** A file that goes with a question. */
export type Attachment = Readonly<{ name: string; text: string }>
