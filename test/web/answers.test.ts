import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { expect } from 'vitest'
import type { ExportedConversation } from '../../src/conversations/schema.ts'
import { createEcho } from './echo.ts'
import { openApp, webTest } from './open-app.ts'

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const created_at = '2026-01-01T00:00:00.000Z'
const place = { document_id: null, source: 'manual.pdf', last_page: null, score: 0.9 }
const told: ExportedConversation = {
  format: 'simpleia-conversation',
  version: 1,
  title: 'Warranty',
  pinned: false,
  created_at,
  settings: {},
  leaf_message_id: 'a2',
  messages: [
    { id: 'q', parent_id: null, role: 'user', content: 'How long?', created_at, state: 'done' },
    {
      ...{ id: 'a', parent_id: 'q', role: 'assistant', created_at, state: 'done', reasoning: 'Let me see.' },
      content: 'It lasts **two** years [1]. It covers the moon.',
      sources: [
        {
          ...place,
          number: 1,
          id: 'p1',
          document: 'manual.pdf',
          page: 3,
          section: 'Terms',
          text: 'The warranty lasts two years.',
        },
      ],
      unsupported: [{ offset: 28, length: 19 }],
    },
    { id: 'q2', parent_id: 'a', role: 'user', content: 'And the weather?', created_at, state: 'done' },
    {
      ...{ id: 'a2', parent_id: 'q2', role: 'assistant', content: '', created_at, state: 'done' },
      tool_calls: [{ id: 'c1', name: 'weather', arguments: '{"city":"Madrid"}' }],
    },
  ],
}

/** Brings a conversation in, and opens it. */
async function openTold(context: Parameters<typeof openApp>[1] = {}) {
  const app = await openApp({ host: createEcho() }, context)
  const id = await app.page.evaluate(
    async (line) => {
      const form = new FormData()
      form.append('file', new Blob([line]), 'conversations.jsonl')
      await fetch('/conversations/import', { method: 'POST', body: form })
      const list = await fetch('/conversations')
      return JSON.parse(await list.text()).items[0].id
    },
    `${JSON.stringify(told)}\n`,
  )
  await app.page.goto(`${app.server.url}/#/c/${id}`)
  await app.page.locator('.tool-results').waitFor()
  return app
}

webTest('a number in an answer opens its passage, and what no source says is marked', async () => {
  const { page } = await openTold()
  expect(await page.locator('mark.unsupported').textContent()).toBe('It covers the moon.')
  await page.getByText('Underlined with a wave: no source says this.').waitFor()
  await page.getByRole('button', { name: 'Source 1' }).click()
  const dialog = page.getByRole('dialog', { name: 'Source 1: manual.pdf' })
  expect(await dialog.textContent()).toMatch(/page 3 · Terms.*The warranty lasts two years\./s)
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
  expect(await page.evaluate('document.activeElement.ariaLabel')).toBe('Source 1')
  await page.getByRole('button', { name: 'manual.pdf' }).click()
  await dialog.waitFor()
})

webTest('reasoning is folded, and what a tool says is typed and answered', async () => {
  const { page } = await openTold()
  expect(await page.getByText('Let me see.').count()).toBe(0)
  await page.locator('.reasoning summary').click()
  await page.getByText('Let me see.').waitFor()
  expect(await page.locator('.answer pre').last().textContent()).toBe('{\n  "city": "Madrid"\n}')
  await page.getByLabel('What weather says').fill('{"sun":true}')
  await page.getByRole('button', { name: 'Give it to the model' }).click()
  await page.locator('.result').waitFor()
  await expect.poll(() => page.locator('.answer .facts').count()).toBe(3)
  expect(await page.locator('.tool-results').count()).toBe(0)
})

webTest('nothing in a conversation keeps anybody out', async () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    const { page } = await openTold({ colorScheme, bypassCSP: true })
    await page.evaluate(axe)
    const broken = await page.evaluate(
      'axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html]))',
    )
    expect(broken).toEqual([])
  }
})
