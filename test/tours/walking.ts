import type { Locator, Page } from 'playwright-core'
import { expect } from 'vitest'
import { texts } from '../../web/shell/texts.ts'
import type { Tour } from './tour.ts'
import { wordsOf } from './words.ts'

export const button = (place: Page | Locator, name: string) => place.getByRole('button', { name, exact: true })

/** Does something in the column beside the page, which opens over it on a phone. */
export async function inSidebar<T>({ page, language, size }: Tour, act: (sidebar: Locator) => Promise<T>): Promise<T> {
  const sidebar = page.locator('#sidebar')
  if (size === 'phone' && !(await sidebar.isVisible())) await button(page, wordsOf(texts, language)('menu')).click()
  return act(sidebar)
}

/** Closes it, where it is over the page. */
export async function leaveSidebar({ page, size }: Tour): Promise<void> {
  const sidebar = page.locator('#sidebar')
  if (size === 'wide' || !(await sidebar.isVisible())) return
  await page.keyboard.press('Escape')
  await sidebar.waitFor({ state: 'hidden' })
}

/** Opens an account in the dialog that asks for name and password. */
export async function openAccount({ page, language, username }: Tour): Promise<void> {
  const say = wordsOf(texts, language)
  const dialog = page.getByRole('dialog')
  await button(dialog, say('createAccount')).click()
  await dialog.getByLabel(say('username')).fill(username)
  await dialog.getByLabel(say('password')).fill(`${username} has a long password`)
  await button(dialog, say('createAccount')).click()
  await dialog.waitFor({ state: 'hidden' })
}

const mostSteps = 60
const isFocused = (target: Locator) => target.and(target.page().locator(':focus')).count()

/** Goes to something as who has no mouse does. */
export async function tabTo(page: Page, target: Locator, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<void> {
  for (let step = 0; step < mostSteps && (await isFocused(target)) === 0; step += 1) await page.keyboard.press(key)
  expect(await isFocused(target), `${key} leads to ${target}`).toBe(1)
}
