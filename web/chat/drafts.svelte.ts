import { SvelteMap } from 'svelte/reactivity'
import type { Attachment } from './shown-conversation.ts'

/** What was typed and not sent yet. */
export type Draft = Readonly<{ text: string; attachments: readonly Attachment[] }>

const nothing: Draft = { text: '', attachments: [] }
const drafts = new SvelteMap<string, Draft>()

/** Each conversation has a draft of its own, as long as the page is open; so has the one that has not begun. */
export const draftOf = (conversationId: string | undefined): Draft => drafts.get(conversationId ?? '') ?? nothing

export function keepDraft(conversationId: string | undefined, draft: Draft): void {
  drafts.set(conversationId ?? '', draft)
}

/** Brings a question that was not taken back to where it was typed, unless something else stands there by now. */
export function bringBack(conversationId: string | undefined, draft: Draft): void {
  if (draftOf(conversationId).text.trim() === '') keepDraft(conversationId, draft)
}

/** A conversation that has just begun goes on with what was typed meanwhile. */
export function takeNewDraft(conversationId: string): void {
  keepDraft(conversationId, draftOf(undefined))
  drafts.delete('')
}
