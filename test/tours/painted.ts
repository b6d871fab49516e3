import type { Page } from 'playwright-core'
import { expect } from 'vitest'

/** How many pixels of each canvas are not transparent. */
const count = `[...document.querySelectorAll('canvas')].map((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
  let painted = 0
  for (let at = 3; at < data.length; at += 4) if (data[at] > 0) painted += 1
  return painted
})`
const least = 200

/** That the page has at least so many charts, and that each shows something. */
export async function expectCharts(page: Page, charts: number): Promise<void> {
  await expect
    .poll(async () => {
      const painted = await page.evaluate<number[]>(count)
      return painted.length >= charts && painted.every((pixels) => pixels > least)
    })
    .toBe(true)
}
