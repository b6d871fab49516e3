import { describe, expect, test } from 'vitest'
import { composeTitle } from '../../web/shell/compose-title.ts'
import { shortcutOf } from '../../web/shell/shortcut-of.ts'

describe('shortcuts', () => {
  const none = { ctrlKey: false, metaKey: false, shiftKey: false, altKey: false }
  const control = { ...none, ctrlKey: true }

  test('are Ctrl or ⌘ with a key, and no key alone', () => {
    expect(shortcutOf({ ...control, key: 'k' })).toBe('search')
    expect(shortcutOf({ ...none, metaKey: true, key: 'k' })).toBe('search')
    expect(shortcutOf({ ...control, shiftKey: true, key: 'O' })).toBe('begin')
    expect(shortcutOf({ ...control, key: '/' })).toBe('shortcuts')
    for (const key of ['k', 'O', '/', '?']) expect(shortcutOf({ ...none, key })).toBeUndefined()
  })

  test('leave to the browser what is not theirs', () => {
    expect(shortcutOf({ ...control, shiftKey: true, key: 'K' })).toBeUndefined()
    expect(shortcutOf({ ...control, key: 'o' })).toBeUndefined()
    expect(shortcutOf({ ...control, altKey: true, key: 'k' })).toBeUndefined()
    expect(shortcutOf({ ...control, metaKey: true, key: 'k' })).toBeUndefined()
  })
})

test('the title of the tab names what is shown, and that an answer comes', () => {
  expect(composeTitle('Models', { text: '', isBusy: false })).toBe('Models · simpleIA')
  expect(composeTitle('', { text: '', isBusy: false })).toBe('simpleIA')
  expect(composeTitle('', { text: 'Tomatoes', isBusy: true })).toBe('… Tomatoes · simpleIA')
  expect(composeTitle('', { text: '', isBusy: true })).toBe('… simpleIA')
})
