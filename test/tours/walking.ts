import type { Locator } from 'playwright-core'
import { texts } from '../../web/shell/texts.ts'
import type { Tour } from './tour.ts'
import { wordsOf } from './words.ts'

/** Does something in the column beside the page, which opens over it on a phone. */
export async function inSidebar<T>({ page, language, size }: Tour, act: (sidebar: Locator) => Promise<T>): Promise<T> {
  const sidebar = page.locator('#sidebar')
  const say = wordsOf(texts, language)
  if (size === 'phone' && !(await sidebar.isVisible())) await page.getByRole('button', { name: say('menu') }).click()
  return act(sidebar)
}

/** Closes it, where it is over the page. */
export async function leaveSidebar({ page }: Tour): Promise<void> {
  const sidebar = page.locator('#sidebar.open')
  if (!(await sidebar.isVisible())) return
  await page.keyboard.press('Escape')
  await sidebar.waitFor({ state: 'hidden' })
}

export const button = (place: Tour['page'] | Locator, name: string) => place.getByRole('button', { name, exact: true })
