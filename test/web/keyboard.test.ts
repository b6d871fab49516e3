import type { Locator, Page } from 'playwright-core'
import { expect } from 'vitest'
import { expectAccessible } from './accessible.ts'
import { noIncidents } from './browser.ts'
import { type FilledApp, openFilledApp } from './filled-app.ts'
import { webTest } from './open-app.ts'

const filling = { names: ['museum', 'bread', 'glass'], texts: ['When does it open?', 'It opens at ten.'] }

async function settle(page: Page): Promise<void> {
  await page.locator('h1').first().waitFor()
  await expect.poll(() => page.getByText(/^(Loading|Cargando)…$/).count(), { timeout: 10_000 }).toBe(0)
}

const overlay = 'dialog[open], [popover]:popover-open'
const isLost = '[null, document.body, document.documentElement].includes(document.activeElement)'
const names = /museum|bread|glass|facts\S*|tiny\S*|other|broken|luis|root|[\d.,:%-]+/g

/** What the buttons of a page do, whatever they do it to. */
async function kindsOf(buttons: Locator): Promise<readonly string[]> {
  const all = await buttons.evaluateAll((found) =>
    found.map((one) => `${one.localName} ${one.className} ${one.ariaLabel ?? one.textContent}`),
  )
  return all.map((words) => words.replaceAll(names, '').replaceAll(/\s+/g, ' ').trim())
}

/** Where what is pressed begins anew or goes on by itself. */
const leftAlone = /Sign out|Español|English|Skip|Next page/

/** Presses all kinds of buttons of a place by Enter; what opens must close by Escape, and the focus must never be lost. */
async function pressAll({ page, url, places }: FilledApp, place: string, pressed: Set<string>): Promise<void> {
  const come = async () => {
    await page.goto(`${url}${places[place]}`)
    await page.reload()
    await settle(page)
  }
  await come()
  for (;;) {
    const buttons = page.locator(':is(button, summary):visible:not(:disabled):not([tabindex="-1"])')
    const kinds = await kindsOf(buttons)
    const at = kinds.findIndex((kind) => !pressed.has(kind) && !leftAlone.test(kind))
    const kind = kinds[at]
    if (kind === undefined) return
    pressed.add(kind)
    const where = `${place}: ${kind}`
    const button = buttons.nth(at)
    await button.focus()
    const opens = (await button.getAttribute('aria-haspopup')) !== null
    await page.keyboard.press('Enter')
    await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))')
    if (opens) await page.locator(overlay).first().waitFor({ timeout: 5000 })
    const isOpen = (await page.locator(overlay).count()) > 0
    if (isOpen) {
      await expectAccessible(page, where)
      expect.soft(await page.evaluate(`document.querySelector("${overlay}").contains(document.activeElement)`), where).toBe(true)
      await page.keyboard.press('Escape')
      await expect.poll(() => page.locator(overlay).count(), { message: where }).toBe(0)
      await expect.poll(() => button.evaluate('(one) => one === document.activeElement'), { message: where }).toBe(true)
    } else {
      expect.soft(await page.evaluate(isLost), `${where} loses the focus`).toBe(false)
      await come()
    }
  }
}

webTest(
  'what a button opens can be used and left by keyboard, and no button loses the focus',
  async () => {
    const app = await openFilledApp(filling, { reducedMotion: 'reduce' })
    const pressed = new Set<string>()
    for (const place of Object.keys(app.places)) await pressAll(app, place, pressed)
    console.log([...pressed].join('\n'))
    expect(app.incidents).toEqual(noIncidents)
  },
  240_000,
)
