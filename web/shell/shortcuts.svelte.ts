import { addressOf, goTo, place } from './router.svelte.ts'

let isAsked = $state(false)

/** Whether the list of the shortcuts is shown. */
export const areShortcutsOpen = (): boolean => isAsked
export function openShortcuts(): void {
  isAsked = true
}
export function closeShortcuts(): void {
  isAsked = false
}

/** What `Ctrl` (on a Mac: `⌘`) with a key does. Keys alone are not taken: people who speak or tap their text would set them off. */
export type Shortcut = 'search' | 'begin' | 'shortcuts'

export function shortcutOf({
  key,
  ctrlKey,
  metaKey,
  shiftKey,
  altKey,
}: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'shiftKey' | 'altKey'>): Shortcut | undefined {
  if (altKey || ctrlKey === metaKey) return undefined
  if (!shiftKey && key.toLowerCase() === 'k') return 'search'
  if (shiftKey && key.toLowerCase() === 'o') return 'begin'
  // It needs Shift on many keyboards.
  return key === '/' ? 'shortcuts' : undefined
}

let wanted = $state<'search' | undefined>(undefined)
/** What the list of conversations should give the focus to, as soon as it is there. */
export const wantedFocus = (): 'search' | undefined => wanted
export function focusWasGiven(): void {
  wanted = undefined
}

export function run(shortcut: Shortcut): void {
  if (shortcut === 'shortcuts') isAsked = true
  else if (shortcut === 'begin') {
    goTo(addressOf('chat'))
    document.getElementById('question')?.focus()
  } else {
    if (place().page !== 'chat') goTo(addressOf('chat'))
    wanted = 'search'
  }
}
