import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { someOf } from '../case-count.ts'
import { type RealService, type RealServiceOptions, startRealService } from '../real-service.ts'
import { expectAccessible } from '../web/accessible.ts'
import { type Incidents, noIncidents, openBrowser, openPage } from '../web/browser.ts'

/** Looked at after a run; a build machine keeps it. */
const folder = 'test-results/tours'
const viewports = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } } as const
type Size = keyof typeof viewports
export const languages = ['en', 'es'] as const
export type Language = (typeof languages)[number]
const walks = someOf<readonly [Size, Language]>(
  [
    ['wide', 'en'],
    ['phone', 'en'],
    ['wide', 'es'],
    ['phone', 'es'],
  ],
  3,
)

export type TourOptions = RealServiceOptions &
  Readonly<{
    /** A service for each walk, on which nobody has been before, and which welcomes its visitor. */
    isFirstRun?: boolean
    /** Of each walk. */
    timeoutMs?: number
  }>

export type Tour = Readonly<{
  page: Page
  language: Language
  size: Size
  /** A name that no other tour of this service has. */
  username: string
  service: RealService
  /** Keeps what the page shows, and holds it against the rules of accessibility; nothing may be wider than the screen. */
  show(step: string): Promise<void>
}>

const browser = await openBrowser()

/** A person's way through the pages, on the real service with the real model, on both screens and in both languages; each on each in a long run. */
export function tour(name: string, options: TourOptions, walk: (tour: Tour) => Promise<void>): void {
  const { isFirstRun = false, timeoutMs = 120_000, ...given } = options
  describe.skipIf(browser === undefined)(name, () => {
    let shared: RealService | undefined
    beforeAll(async () => {
      if (!isFirstRun) shared = await startRealService(given)
      await mkdir(folder, { recursive: true })
    })
    afterAll(() => shared?.[Symbol.asyncDispose]())

    for (const [size, language] of walks)
      test(`${size}, ${language}`, { timeout: timeoutMs }, async () => {
        const service = shared ?? (await startRealService(given))
        if (shared === undefined) onTestFinished(() => service[Symbol.asyncDispose]())
        const { page, incidents } = await openTourPage(service.baseUrl, language, size, isFirstRun)
        const username = `${name}-${size}-${language}`.replace(/[^a-z0-9-]/gi, '-')
        const show = (step: string) => showStep(page, `${name}-${size}-${language}-${step}`, viewports[size].width)
        await walk({ page, language, size, username, service, show }).catch(async (error: unknown) => {
          await page.screenshot({ path: join(folder, `${name}-${size}-${language}-failed.png`) }).catch(() => {})
          throw error
        })
        expect(incidents).toEqual(noIncidents)
      })
  })
}

async function openTourPage(
  url: string,
  language: Language,
  size: Size,
  isFirstRun: boolean,
): Promise<Readonly<{ page: Page; incidents: Incidents }>> {
  if (browser === undefined) throw new Error('Skipped tours do not get here.')
  return openPage(browser, url, { locale: language, viewport: viewports[size], reducedMotion: 'reduce', isFirstRun })
}

async function showStep(page: Page, name: string, width: number): Promise<void> {
  await page.screenshot({ path: join(folder, `${name}.png`) })
  expect(await page.evaluate('document.documentElement.scrollWidth'), name).toBeLessThanOrEqual(width)
  await expectAccessible(page, name)
}

afterAll(() => browser?.close())
