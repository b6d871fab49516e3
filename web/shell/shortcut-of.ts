/** What `Ctrl` (on a Mac: `⌘`) with a key does. Keys alone are not taken: people who speak or tap their text would set them off. */
export type Shortcut = 'search' | 'begin' | 'shortcuts'

/** What is asked of a keyboard event. */
export type PressedKey = Readonly<{ key: string; ctrlKey: boolean; metaKey: boolean; shiftKey: boolean; altKey: boolean }>

export function shortcutOf({ key, ctrlKey, metaKey, shiftKey, altKey }: PressedKey): Shortcut | undefined {
  if (altKey || ctrlKey === metaKey) return undefined
  if (!shiftKey && key.toLowerCase() === 'k') return 'search'
  if (shiftKey && key.toLowerCase() === 'o') return 'begin'
  // It needs Shift on many keyboards.
  return key === '/' ? 'shortcuts' : undefined
}
