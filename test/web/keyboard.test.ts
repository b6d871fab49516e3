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
      await expect.poll(() => button.and(page.locator(':focus')).count(), { message: where }).toBe(1)
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
    expect(pressed.size).toBeGreaterThan(80)
    expect(app.incidents).toEqual(noIncidents)
  },
  240_000,
)

/** The outline stands at what has the focus, or at the box around it. */
const focusIsSeen = `(() => {
  for (let one = document.activeElement, levels = 0; one !== null && levels < 3; one = one.parentElement, levels += 1)
    if (getComputedStyle(one).outlineStyle !== 'none') return true
  return false
})()`

/** Goes on with Tab until a control with this name has the focus, which must be seen. */
async function tabTo(page: Page, name: string | RegExp, { backwards = false } = {}): Promise<void> {
  const wanted = page
    .locator(':focus')
    .and(
      page
        .getByRole('button', { name })
        .or(page.getByRole('link', { name }))
        .or(page.getByRole('textbox', { name }))
        .or(page.getByRole('combobox', { name }))
        .or(page.getByRole('spinbutton', { name }))
        .or(page.getByRole('radio', { name })),
    )
  for (let steps = 0; steps < 80; steps += 1) {
    if ((await wanted.count()) > 0) return expect(await page.evaluate(focusIsSeen), String(name)).toBe(true)
    await page.keyboard.press(backwards ? 'Shift+Tab' : 'Tab')
  }
  throw new Error(`Tab does not come to ${String(name)}.`)
}

const shown = (page: Page, text: string | RegExp) => page.getByText(text).first().waitFor()

webTest('a person asks, rates, corrects, renames and deletes by keys alone', async () => {
  const { page, url } = await openFilledApp(filling)
  await page.goto(`${url}/#/`)
  await page.reload()
  await settle(page)
  await tabTo(page, 'Your question')
  await page.keyboard.type('What is it?')
  await page.keyboard.press('Enter')
  await page.locator('.facts').waitFor()
  await tabTo(page, 'Good answer', { backwards: true })
  await page.keyboard.press('Enter')
  await page.locator('.comment').waitFor()
  await tabTo(page, 'Correct', { backwards: true })
  await page.keyboard.press('Enter')
  await page.keyboard.press('Control+A')
  await page.keyboard.type('That.')
  await tabTo(page, 'Save')
  await page.keyboard.press('Enter')
  await shown(page, 'corrected by you')
  expect(await page.evaluate(isLost)).toBe(false)
  await tabTo(page, 'What to do with “What is it?”', { backwards: true })
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Control+A')
  await page.keyboard.type('Renamed')
  await page.keyboard.press('Enter')
  await page
    .locator('#sidebar :focus')
    .and(page.getByRole('link', { name: 'Renamed' }))
    .waitFor()
  await page.keyboard.press('Tab')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('End')
  await page.keyboard.press('Enter')
  await page.getByRole('link', { name: 'Renamed' }).waitFor({ state: 'detached' })
  expect(await page.evaluate(isLost)).toBe(false)
})

webTest('a person makes a collection, adds a text, asks it and opens the passage by keys alone', async () => {
  const { page, url } = await openFilledApp(filling)
  await page.goto(`${url}/#/documents`)
  await settle(page)
  await tabTo(page, 'New collection')
  await page.keyboard.press('Enter')
  await tabTo(page, 'Name')
  await page.keyboard.type('towers')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { level: 1, name: 'towers' }).waitFor()
  expect(await page.evaluate(isLost)).toBe(false)
  await tabTo(page, 'A text')
  await page.keyboard.press('Enter')
  await tabTo(page, 'Title')
  await page.keyboard.type('Storks')
  await tabTo(page, 'Text')
  await page.keyboard.type('Storks nest on the tower.')
  await tabTo(page, 'Add')
  await page.keyboard.press('Enter')
  await page.getByRole('link', { name: 'Storks' }).first().waitFor()
  expect(await page.evaluate(isLost)).toBe(false)
  await tabTo(page, /question/i)
  await page.keyboard.type('Where do storks nest?')
  await page.keyboard.press('Enter')
  await page.locator('article .facts').waitFor()
  await tabTo(page, /^Show the passage/)
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page
    .locator(':focus')
    .and(page.getByRole('button', { name: /^Show the passage/ }))
    .waitFor()
})

webTest('an admin starts a run, promotes a model, chooses another, and filters the audit by keys alone', async () => {
  const { page, url } = await openFilledApp(filling)
  await page.goto(`${url}/#/training/runs/new`)
  await settle(page)
  await shown(page, /about \d/)
  await tabTo(page, 'Start the run')
  await page.keyboard.press('Enter')
  await shown(page, /It is done/)
  expect(await page.evaluate(isLost)).toBe(false)

  await page.goto(`${url}/#/training/rollouts`)
  await page.getByRole('link', { name: 'other' }).first().focus()
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Rollout of default' }).waitFor()
  await tabTo(page, 'Promote')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await tabTo(page, 'Promote')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'Undo the promotion' }).waitFor()
  expect(await page.evaluate(isLost)).toBe(false)

  await page.goto(`${url}/#/models`)
  await settle(page)
  await tabTo(page, 'Use for everybody bread')
  await page.keyboard.press('Enter')
  await expect.poll(() => page.locator('[data-model="bread"]').textContent()).toContain('answers by default')
  expect(await page.evaluate(isLost)).toBe(false)

  await page.goto(`${url}/#/admin/audit`)
  await settle(page)
  await tabTo(page, 'Action')
  await page.keyboard.type('login')
  await page.keyboard.press('Enter')
  await expect.poll(() => page.locator('tbody tr').filter({ hasText: 'key-add' }).count()).toBe(0)
  expect(await page.evaluate(isLost)).toBe(false)
})
