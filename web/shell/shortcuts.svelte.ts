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

let isWanted = $state(false)
/** Whether the search through the conversations should have the focus, as soon as it is there. */
export const isSearchWanted = (): boolean => isWanted
export function searchIsFound(): void {
  isWanted = false
}

export function run(shortcut: Shortcut): void {
  if (shortcut === 'shortcuts') isAsked = true
  else if (shortcut === 'begin') {
    goTo(addressOf('chat'))
    document.getElementById('question')?.focus()
  } else {
    if (place().page !== 'chat') goTo(addressOf('chat'))
    isWanted = true
  }
}
