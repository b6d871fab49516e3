import { expect } from 'vitest'
import { texts as chatTexts } from '../../web/chat/texts.ts'
import { texts as documentsTexts } from '../../web/documents/texts.ts'
import { texts } from '../../web/first-run/texts.ts'
import { texts as shellTexts } from '../../web/shell/texts.ts'
import { type Tour, tour } from './tour.ts'
import { button, inSidebar } from './walking.ts'
import { wordsOf } from './words.ts'

const bread = { name: 'bread.md', mimeType: 'text/markdown', buffer: Buffer.from('# Bread\n\nBread needs flour and water.') }

tour('first-run', { embeds: true, isFirstRun: true }, async (tour) => {
  const { page, language, show } = tour
  const say = wordsOf(texts, language)
  const chat = wordsOf(chatTexts, language)
  const steps = page.getByRole('region', { name: say('tour') })
  const countDone = () => steps.locator('li.done').count()

  await page.getByRole('heading', { name: say('welcome') }).waitFor()
  await show('welcome')
  await makeAccount(tour)
  await steps.getByText(say('askedHow')).waitFor()
  await show('steps')

  await button(page, chat('exampleExplain')).click()
  await button(page, chat('send')).click()
  await expect.poll(countDone).toBe(1)
  await page.locator('.answer .content :not(:empty), .answer .facts').first().waitFor()
  // Nothing happens where the model has had little to say.
  await page.keyboard.press('Escape')
  await page.locator('.answer .facts').waitFor()
  await show('asked')

  await steps.getByRole('link', { name: say('takeMe') }).click()
  await page.getByLabel(wordsOf(documentsTexts, language)('addFiles')).last().setInputFiles(bread)
  await expect.poll(countDone).toBe(2)
  await show('added')

  await steps.getByRole('link', { name: say('takeMe') }).click()
  await inSidebar(tour, (sidebar) => sidebar.locator('li.row a').first().click())
  await button(page, chat('rateUp')).click()
  await expect.poll(countDone).toBe(3)
  await steps.getByText(say('finished')).first().waitFor()
  await show('finished')

  await button(steps, say('close')).click()
  await page.reload()
  await page.locator('#question').waitFor()
  expect(await steps.count()).toBe(0)
  const shell = wordsOf(shellTexts, language)
  await inSidebar(tour, async (sidebar) => {
    await show('account')
    await button(sidebar, shell('tour')).click()
  })
  await steps.getByText(say('askedHow')).waitFor()
})

async function makeAccount({ page, language, username }: Tour) {
  const say = wordsOf(texts, language)
  await page.getByLabel(say('username')).fill(username)
  await page.getByLabel(say('password'), { exact: true }).fill('a-long-password')
  await page.getByLabel(say('again')).fill('a-long-password')
  await button(page, say('create')).click()
}
