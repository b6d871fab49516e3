import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { texts as askTexts } from '../../web/documents/ask/texts.ts'
import { texts } from '../../web/documents/texts.ts'
import { texts as shellTexts } from '../../web/shell/texts.ts'
import { makePdf } from '../document-files.ts'
import { type Tour, tour } from './tour.ts'
import { button, openAccount } from './walking.ts'
import { wordsOf } from './words.ts'

const museum = makePdf(
  [
    [{ text: 'Opening hours', size: 20 }, { text: 'The museum opens at ten in the morning and closes at six.' }],
    [{ text: 'Prices', size: 20 }, { text: 'A ticket costs eight euros. Children do not pay.' }],
  ],
  { title: 'The museum' },
)
const poisoned = await readFile('test/fixtures/rag/poisoned/01-ignore-previous.md')
const question = 'When does the museum open?'

tour('documents', { embeds: true, settings: { CONTEXT_SIZE: '2048' } }, async (tour) => {
  const { page, language, service, show } = tour
  const say = wordsOf(texts, language)
  await page.goto(`${service.baseUrl}/#/documents`)
  await button(page.locator('.page'), say('signIn')).click()
  await openAccount(tour)
  await show('empty')
  await addTwo(tour)
  await page.getByRole('link', { name: /^default/ }).click()
  await page.getByRole('heading', { level: 1, name: 'default' }).waitFor()
  await search(tour)
  await ask(tour)
  await goOnInChat(tour)

  await page.goto(`${service.baseUrl}/#/documents/default`)
  await page.getByRole('link', { name: 'The museum', exact: true }).click()
  await page.getByRole('heading', { level: 1, name: 'The museum' }).waitFor()
  await page.getByText('A ticket costs eight euros.').waitFor()
  await show('document')
  await button(page, say('removeDocument')).click()
  await button(page.getByRole('dialog'), say('remove')).click()
  await page.getByText(say('documentRemoved', { name: 'The museum' })).waitFor()
  await page.getByRole('heading', { level: 1, name: 'default' }).waitFor()
  for (const name of ['The museum', 'museum.pdf'])
    await expect.poll(() => page.getByRole('link', { name, exact: true }).count()).toBe(0)
  await show('deleted')
})

/** One file is dropped, the other chosen. */
async function addTwo({ page, language, show }: Tour) {
  const say = wordsOf(texts, language)
  const uploads = page.getByRole('region', { name: say('uploads') })
  await dropPdf(page)
  const notes = { name: 'notes.md', mimeType: 'text/markdown', buffer: poisoned }
  await page.getByLabel(say('addFiles')).last().setInputFiles(notes)
  await expect.poll(() => uploads.getByText(say('added'), { exact: true }).count()).toBe(2)
  await uploads.getByText(say('uploadsOver')).waitFor()
  const [name, state] = [uploads.getByRole('link').first(), uploads.getByText(say('added'), { exact: true }).first()]
  expect((await name.boundingBox())?.x).toBeLessThanOrEqual((await state.boundingBox())?.x ?? 0)
  await show('added')
}

/** As the browser does it when a file is let go over the page. */
async function dropPdf(page: Page) {
  const dataTransfer = await page.evaluateHandle(`(() => {
    const transfer = new DataTransfer()
    transfer.items.add(new File([new Uint8Array(${JSON.stringify([...museum])})], 'museum.pdf', { type: 'application/pdf' }))
    return transfer
  })()`)
  await page.dispatchEvent('h1', 'dragenter', { dataTransfer })
  await page.locator('.zone').waitFor()
  await page.dispatchEvent('h1', 'drop', { dataTransfer })
}

async function search({ page, language, show }: Tour) {
  const say = wordsOf(askTexts, language)
  await page.getByLabel(say('question')).fill('price of a ticket')
  await button(page, say('search')).click()
  await page.getByText(say('resultsOf', { question: 'price of a ticket' })).waitFor()
  const best = page.locator('section').getByRole('listitem').filter({ hasText: 'A ticket costs eight euros.' }).first()
  expect(await best.textContent()).toMatch(new RegExp(say('similarity', { cosine: '0[.,]\\d+' })))
  await show('search')
}

async function ask({ page, language, show }: Tour) {
  const say = wordsOf(askTexts, language)
  await page.getByLabel(say('question')).fill(question)
  await button(page, say('ask')).click()
  await page.locator('article .facts').waitFor()
  expect(await page.locator('article .markdown').textContent()).toMatch(/\w/)
  await button(page, `${say('wholePassage')} 1`).click()
  await page.getByRole('dialog').getByText('The museum opens at ten').waitFor()
  await show('passage')
  await page.keyboard.press('Escape')
  await page.getByText(say('xray'), { exact: true }).click()
  await page.getByLabel(say('foundByMeaning')).getByRole('table').waitFor()
  await page.getByText(say('xray'), { exact: true }).evaluate('(summary) => summary.scrollIntoView()')
  await show('xray')
}

async function goOnInChat({ page, language, show }: Tour) {
  await button(page, wordsOf(askTexts, language)('inChat')).click()
  await page.locator('#question').fill(question)
  await page.keyboard.press('Enter')
  await page.locator('.answer .facts').waitFor()
  const sources = page.locator('.answer .sources')
  await sources.getByRole('button', { name: 'The museum' }).first().click()
  await page.getByRole('dialog').getByText('The museum opens at ten').waitFor()
  await show('footnote')
  await button(page.getByRole('dialog'), wordsOf(shellTexts, language)('close')).click()
  await show('chat')
}
