import type { ExportedConversation } from '../../src/conversations/schema.ts'

const paragraph =
  'An answer of **some length**, as people have them:\n\n- with a list\n- of two things\n\n```js\nconst answer = 42\n```\n\nand a last line.'

/** A line to import: one branch of so many messages, the last of which says so. */
export function conversationOf(count: number): string {
  const at = new Date(0).toISOString()
  const messages = Array.from({ length: count }, (_, index) => {
    const isQuestion = index % 2 === 0
    const content = index === count - 1 ? `the last of ${count}` : isQuestion ? `Question ${index}?` : `${index}: ${paragraph}`
    return {
      id: `message-${index}`,
      parent_id: index === 0 ? null : `message-${index - 1}`,
      role: isQuestion ? ('user' as const) : ('assistant' as const),
      content,
      created_at: at,
      state: 'done' as const,
    }
  })
  const conversation: ExportedConversation = {
    format: 'simpleia-conversation',
    version: 1,
    title: `A conversation of ${count} messages`,
    pinned: false,
    created_at: at,
    settings: {},
    leaf_message_id: `message-${count - 1}`,
    messages,
  }
  return `${JSON.stringify(conversation)}\n`
}
