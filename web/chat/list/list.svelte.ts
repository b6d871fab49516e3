import type { ConversationItem } from '../../../src/conversations/schema.ts'

let items = $state.raw<readonly ConversationItem[]>([])

export const conversationItems = (): readonly ConversationItem[] => items

/** Shows a conversation that has just begun or changed in its place of the list. */
export function noteConversation(changed: Omit<ConversationItem, 'excerpt'>): void {
  items = [{ ...changed, excerpt: null }, ...items.filter(({ id }) => id !== changed.id)]
}
