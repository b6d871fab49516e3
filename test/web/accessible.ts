import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

type Violation = Readonly<{
  id: string
  help: string
  nodes: ReadonlyArray<Readonly<{ target: readonly string[]; html: string }>>
}>

/** What the colours decide; the rest is the same in both themes. */
const rulesOfColors = ['color-contrast', 'link-in-text-block']

/** Holds what the page shows now against the rules of WCAG 2.2 AA, as far as axe-core can tell, in both themes. */
export async function expectAccessible(page: Page, where: string): Promise<void> {
  const before = await page.evaluate('document.documentElement.dataset.theme')
  if ((await page.evaluate('typeof axe')) === 'undefined') await page.evaluate(axe)
  for (const theme of ['light', 'dark']) {
    const runOnly = theme === 'light' ? { type: 'tag', values: rules } : { type: 'rule', values: rulesOfColors }
    await page.evaluate(`document.documentElement.dataset.theme = '${theme}'`)
    const violations = await page.evaluate<Violation[]>(
      `axe.run(document, { runOnly: ${JSON.stringify(runOnly)}, resultTypes: ['violations'] }).then(({ violations }) => violations)`,
    )
    const told = violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ target, html }) => `${id} (${help}): ${target.join(' ')} ${html.slice(0, 200)}`),
    )
    expect.soft(told, `${where}, ${theme}`).toEqual([])
  }
  await page.evaluate(`document.documentElement.dataset.theme = '${String(before)}'`)
}
