import { addressOf, goTo, place } from './router.svelte.ts'
import type { Shortcut } from './shortcut-of.ts'

let isAsked = $state(false)

/** Whether the list of the shortcuts is shown. */
export const areShortcutsOpen = (): boolean => isAsked
export function openShortcuts(): void {
  isAsked = true
}
export function closeShortcuts(): void {
  isAsked = false
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
