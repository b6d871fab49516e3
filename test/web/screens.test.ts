import { mkdir } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { openFilledApp } from './filled-app.ts'
import { webTest } from './open-app.ts'

const filling = { names: ['museum', 'bread', 'glass'], texts: ['When does it open?', 'It opens at ten.'] }

async function settle(page: Page): Promise<void> {
  await page.locator('h1').first().waitFor()
  await expect.poll(() => page.getByText(/^(Loading|Cargando)…$/).count(), { timeout: 10_000 }).toBe(0)
}

/** Controls that are smaller than 24 by 24 pixels; links in the middle of a text may be. */
const tooSmall = `[...document.querySelectorAll('a, button, summary, select, textarea, input, [role=menuitem]')].filter((element) => {
  if (!element.checkVisibility({ visibilityProperty: true }) || element.closest('.unseen, .skip')) return false
  const { display } = getComputedStyle(element)
  const isInText = element.localName === 'a' && display === 'inline' && element.parentElement.textContent.trim() !== element.textContent.trim()
  const target = element.closest('label') ?? element
  const { width, height } = target.getBoundingClientRect()
  return !isInText && width > 0 && (width < 23.9 || height < 23.9)
}).map((element) => Math.round(element.getBoundingClientRect().width) + '×' + Math.round(element.getBoundingClientRect().height) + ' ' + element.outerHTML.slice(0, 160))`

/** What reaches out of the screen, and does not stand in a box that scrolls. */
const outside = `[...document.querySelectorAll('#content *, aside *, .bar *, dialog *')].filter((element) => {
  if (!element.checkVisibility() || element.closest('.unseen, svg, math')) return false
  for (let box = element.parentElement; box !== null; box = box.parentElement)
    if (/auto|scroll|hidden|clip/.test(getComputedStyle(box).overflowX) && box.id !== 'content' && !box.matches('.scroller')) return false
  const { left, right, width } = element.getBoundingClientRect()
  return width > 0 && (right > innerWidth + 1 || left < -1)
}).map((element) => element.outerHTML.slice(0, 160))`

const wider = `Math.max(document.documentElement.scrollWidth - innerWidth,
  ...[...document.querySelectorAll('#content, .scroller, dialog[open]')].map((box) => box.scrollWidth - box.clientWidth))`

async function expectFitting(page: Page, where: string): Promise<void> {
  // Charts follow their boxes with the next picture.
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))')
  expect.soft(await page.evaluate(wider), where).toBeLessThanOrEqual(0)
  expect.soft(await page.evaluate(outside), where).toEqual([])
}

webTest(
  'controls are large enough to hit, and nothing is lost at 320 pixels, at twice the size of text, and without colours of our own',
  async () => {
    const { page, url, places } = await openFilledApp(filling, { reducedMotion: 'reduce', locale: 'es' })
    const titles = new Map<string, string>()
    await mkdir('test-results/forced-colors', { recursive: true })
    for (const [place, address] of Object.entries(places)) {
      await page.setViewportSize({ width: 1280, height: 800 })
      await page.goto(`${url}${address}`)
      await settle(page)
      await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
      titles.set(place, await page.title())
      expect.soft(await page.evaluate('document.documentElement.lang')).toBe('es')
      expect.soft(await page.evaluate('document.getAnimations().length'), `${place} moves`).toBe(0)
      expect.soft(await page.evaluate(tooSmall), place).toEqual([])
      await page.emulateMedia({ forcedColors: 'active' })
      await page.screenshot({ path: `test-results/forced-colors/${place}.png` })
      await page.emulateMedia({ forcedColors: 'none' })
      await page.evaluate("document.documentElement.style.fontSize = '200%'")
      await expectFitting(page, `${place}, twice the size of text`)
      await page.evaluate("document.documentElement.style.fontSize = ''")
      await page.setViewportSize({ width: 320, height: 640 })
      expect.soft(await page.evaluate(tooSmall), `${place}, 320`).toEqual([])
      await expectFitting(page, `${place}, 320 pixels`)
    }
    const named = ['chat', 'documents', 'models', 'training', 'admin, overview'].map((place) => titles.get(place))
    expect(new Set(named).size).toBe(named.length)
  },
  240_000,
)
