import { SvelteMap } from 'svelte/reactivity'
import { isSigningOut } from '../shell/session.svelte.ts'
import type { Attachment } from './shown-conversation.ts'

/** What was typed and not sent yet. */
export type Draft = Readonly<{ text: string; attachments: readonly Attachment[] }>

const nothing: Draft = { text: '', attachments: [] }
const storageKey = 'drafts'
const drafts = new SvelteMap<string, Draft>(readKept())

// A page that is loaded again, by its reader or by the browser, goes on where it was.
addEventListener('pagehide', () => {
  const kept = [...drafts].filter(([, { text, attachments }]) => text !== '' || attachments.length > 0)
  if (kept.length === 0 || isSigningOut()) return
  try {
    sessionStorage.setItem(storageKey, JSON.stringify(kept))
  } catch {
    // Files that are too large for it are left out.
    sessionStorage.setItem(storageKey, JSON.stringify(kept.map(([id, { text }]) => [id, { text, attachments: [] }])))
  }
})

function readKept(): ReadonlyArray<readonly [string, Draft]> {
  const kept = sessionStorage.getItem(storageKey)
  sessionStorage.removeItem(storageKey)
  try {
    return kept === null ? [] : JSON.parse(kept)
  } catch {
    return []
  }
}

/** Each conversation has a draft of its own, as long as the tab is open; so has the one that has not begun. */
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
