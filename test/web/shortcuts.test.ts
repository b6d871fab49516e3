import { expect } from 'vitest'
import { ask, noIncidents } from './browser.ts'
import { createEcho } from './echo.ts'
import { openApp, webTest } from './open-app.ts'

for (const viewport of [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
])
  webTest(`keys lead to the search, a new conversation and the list of the keys (${viewport.width} px)`, async () => {
    const { page, incidents } = await openApp({ host: createEcho() }, { viewport })
    await page.locator('#question').waitFor()
    const focused = () => page.evaluate('document.activeElement.id')
    await page.keyboard.press('Control+k')
    await expect.poll(focused).toBe('conversation-search')
    await page.keyboard.press('Escape')
    await page.evaluate("location.hash = '#/documents'")
    await page.getByRole('heading', { level: 1, name: 'Documents' }).waitFor()
    await page.keyboard.press('Control+k')
    await expect.poll(focused).toBe('conversation-search')
    await page.keyboard.press('Escape')
    await page.keyboard.press('Control+/')
    const list = page.getByRole('dialog', { name: 'Keyboard shortcuts' })
    await list.getByText('Search the conversations').waitFor()
    await page.keyboard.press('Escape')
    await list.waitFor({ state: 'hidden' })
    await page.keyboard.press('Control+Shift+O')
    await expect.poll(focused).toBe('question')
    expect(incidents).toEqual(noIncidents)
  })

webTest('who goes back leaves the dialog, and an answer can be read as it was written', async () => {
  const { page } = await openApp({ host: createEcho() })
  await ask(page, '**bold**')
  await page.locator('article.answer strong').first().waitFor()
  await page.getByRole('button', { name: 'Show as written, without formatting' }).click()
  await expect.poll(() => page.locator('article.answer pre.text').textContent()).toContain('**bold**')
  expect(await page.locator('article.answer strong').count()).toBe(0)
  await page.evaluate("location.hash = '#/models'")
  await page.getByRole('heading', { level: 1, name: 'Models' }).waitFor()
  await page.goBack()
  await page.locator('#settings').click()
  const dialog = page.getByRole('dialog', { name: 'How it answers' })
  await dialog.waitFor()
  await page.goForward()
  await dialog.waitFor({ state: 'hidden' })
})
