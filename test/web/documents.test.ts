import { Readable } from 'node:stream'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { expect } from 'vitest'
import { makePdf } from '../document-files.ts'
import { createFakeEngine } from '../fake-engine.ts'
import type { StartOptions } from '../server.ts'
import { noIncidents, signIn } from './browser.ts'
import { openApp, webTest } from './open-app.ts'
import { payloads } from './xss-payloads.ts'

type Small = Readonly<{ name: string; type?: string; bytes: string | Uint8Array }>

const museum: Small = {
  name: 'museum.pdf',
  type: 'application/pdf',
  bytes: makePdf(
    [
      [{ text: 'Opening', size: 20 }, { text: 'The museum opens at ten.' }],
      [{ text: 'Prices', size: 20 }, { text: 'Tickets cost eight euros.' }],
    ],
    { title: 'The museum' },
  ),
}
const broken: Small = { name: 'broken.pdf', type: 'application/pdf', bytes: '%PDF-1.4 and no more' }
const bread: Small = { name: 'bread.txt', type: 'text/plain', bytes: 'Bread needs flour, water and salt.' }
const writes = (answer: string) => createFakeEngine({ answer: () => ({ pieces: [answer] }), contextSize: 8192 })

/** The page of the documents, with ana signed in unless nobody is to be. */
async function openDocuments(
  parts: Partial<StartOptions> = {},
  { place = '', anonymous = false, ...context }: BrowserContextOptions & { place?: string; anonymous?: boolean } = {},
) {
  const opened = await openApp({ host: writes('It opens at ten [1]. Dogs pay 77 euros.'), ...parts }, context)
  const { page, server } = opened
  await page.goto(`${server.url}/#/documents${place}`)
  if (!anonymous) {
    await page
      .locator('.page')
      .getByRole('button', { name: /^(Sign in|Entrar)$/ })
      .click()
    await signIn(page, 'ana', { register: true })
    await page.getByRole('button', { name: /^(Add files|Añadir archivos)$/ }).waitFor()
  }
  return opened
}

/** As the browser does it when files are let go over the page. */
async function drop(page: Page, ...files: readonly Small[]): Promise<void> {
  const given = files.map(({ name, type = 'text/plain', bytes }) => ({ name, type, bytes: [...Buffer.from(bytes)] }))
  const dataTransfer = await page.evaluateHandle(`(() => {
    const transfer = new DataTransfer()
    for (const { name, type, bytes } of ${JSON.stringify(given)})
      transfer.items.add(new File([new Uint8Array(bytes)], name, { type }))
    return transfer
  })()`)
  await page.dispatchEvent('h1', 'dragenter', { dataTransfer })
  await page.locator('.zone').waitFor()
  await page.dispatchEvent('h1', 'drop', { dataTransfer })
}

const uploads = (page: Page) => page.getByRole('region', { name: /^(Uploads|Subidas)$/ }).getByRole('listitem')
const answerOf = (page: Page) => page.locator('article .markdown')

async function ask(page: Page, question: string): Promise<void> {
  await page.getByRole('textbox', { name: /question|pregunta/i }).fill(question)
  await page.getByRole('button', { name: /^(Ask|Preguntar)$/ }).click()
  await page.locator('article .facts').waitFor()
}

webTest('files that are dropped are taken in one by one; a broken one says why, and stops no other', async () => {
  const { page, incidents } = await openDocuments()
  await drop(page, museum, broken, bread)
  await uploads(page).filter({ hasText: 'bread.txt' }).getByText('added', { exact: true }).waitFor()
  await uploads(page).filter({ hasText: 'museum.pdf' }).getByText('added', { exact: true }).waitFor()
  const failed = uploads(page).filter({ hasText: 'broken.pdf' })
  expect(await failed.getByRole('alert').textContent()).toMatch(/This file could not be read\..*damaged/s)
  await failed.getByRole('button', { name: 'Try again' }).click()
  await expect.poll(() => failed.getByRole('alert').count()).toBe(1)
  const card = page.getByRole('link', { name: /^default/ })
  await expect.poll(() => card.textContent()).toMatch(/the usual one.*2 documents.*3 passages.*fake-embedder/s)
  await drop(page, { ...bread, name: 'copy.txt' })
  await uploads(page).filter({ hasText: 'copy.txt' }).getByText('is there already as “bread.txt”').waitFor()
  await page.getByRole('button', { name: 'Clear the list' }).click()
  expect(await uploads(page).count()).toBe(0)
  expect(incidents).toEqual(noIncidents)
})

webTest('a document shows what was read from it, in order, with pages, and can be deleted', async () => {
  const { page } = await openDocuments()
  await drop(page, museum)
  await uploads(page).getByRole('link', { name: 'museum.pdf' }).click()
  await page.getByRole('heading', { level: 1, name: 'The museum' }).waitFor()
  expect(await page.evaluate('document.activeElement.tagName')).toBe('H1')
  const passages = page.getByRole('listitem').filter({ hasText: 'Passage' })
  await expect.poll(() => passages.count()).toBe(2)
  expect(await passages.nth(1).textContent()).toMatch(/Passage 2.*page 2.*Tickets cost eight euros\./s)
  expect(await page.locator('dl').textContent()).toMatch(/museum\.pdf.*application\/pdf/s)
  await page.getByRole('button', { name: 'Delete the document' }).click()
  await page.getByRole('dialog').getByText('“The museum” will be deleted with its passages (2), for good.').waitFor()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click()
  await page.getByText('This collection is empty.').waitFor()
  expect(await page.evaluate('document.activeElement.textContent')).toBe('default')
  await page.getByText('“The museum” was deleted.').waitFor()
})

webTest('an answer cites passages that open, and marks what no source says', async () => {
  const { page, incidents } = await openDocuments({}, { place: '/default' })
  await drop(page, museum, bread)
  await page.getByRole('heading', { name: 'Ask or search' }).waitFor()
  await uploads(page).filter({ hasText: 'bread.txt' }).getByText('added', { exact: true }).waitFor()
  await ask(page, 'When does the museum open?')
  expect(await answerOf(page).textContent()).toMatch(/^\s*It opens at ten\s*1\s*\..*Dogs pay 77 euros\./s)
  expect(await answerOf(page).locator('mark').allTextContents()).toEqual(['Dogs pay 77 euros.'])
  await page.getByText('No source says what has a wavy underline').waitFor()
  await answerOf(page)
    .getByRole('button', { name: /^Source 1/ })
    .click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('link', { name: 'Open in the document' }).click()
  await page.getByText('this is the passage').waitFor()
  expect(await page.evaluate('document.activeElement.textContent')).toContain('this is the passage')
  // What was asked is there still.
  await page.goBack()
  await page.locator('article .facts').waitFor()
  expect(await page.getByRole('textbox', { name: /question/i }).inputValue()).toBe('When does the museum open?')
  expect(incidents).toEqual(noIncidents)
})

webTest('the X-ray shows what was looked for, found, left out, and sent to the model', async () => {
  const { page } = await openDocuments({}, { place: '/default' })
  await drop(page, museum, bread)
  await uploads(page).filter({ hasText: 'bread.txt' }).getByText('added', { exact: true }).waitFor()
  await ask(page, 'When does the museum open?')
  await page.getByText('X-ray', { exact: true }).click()
  const found = page.getByRole('table', { name: 'Found by meaning' })
  await expect.poll(() => found.textContent()).toMatch(/The museum · Passage 1/)
  expect(await found.getByRole('row').count()).toBe(4)
  await page.getByRole('table', { name: 'Both together, by rank' }).waitFor()
  await page.getByText(/The nearest passage has a similarity of 0\.\d+; 0\.25 is needed\. The model was asked\.|of 1;/).waitFor()
  await page.locator('main').getByText('system', { exact: true }).first().click()
  await page.getByText('You answer questions from the numbered sources').waitFor()
  await found.getByRole('button').last().click()
  await page.getByRole('dialog').waitFor()
})

webTest('a search shows how near each passage is, by the way that was chosen', async () => {
  const { page } = await openDocuments({}, { place: '/default' })
  await drop(page, museum, bread)
  await uploads(page).filter({ hasText: 'bread.txt' }).getByText('added', { exact: true }).waitFor()
  await page.getByText('Options', { exact: true }).click()
  await page.getByRole('combobox', { name: 'Find by' }).selectOption('words')
  await page.getByRole('textbox', { name: /question/i }).fill('flour')
  await page.getByRole('button', { name: 'Search', exact: true }).click()
  await page.getByText('Found: 1', { exact: true }).waitFor()
  const hit = page.getByRole('listitem').filter({ hasText: 'Bread needs flour' })
  expect(await hit.textContent()).toContain('found by its words alone')
  await page.getByRole('combobox', { name: 'Find by' }).selectOption('vector')
  await page.getByRole('button', { name: 'Search', exact: true }).click()
  await page
    .getByText(/^\s*Similarity 0\.\d+\s*· (very near|near)$/)
    .first()
    .waitFor()
})

webTest('a collection is named, made with its first text, shared, saved, loaded and deleted', async () => {
  const { page } = await openDocuments()
  await page.getByRole('button', { name: 'New collection' }).click()
  await page.getByLabel('Name').fill('Recipes / winter')
  await page.getByRole('button', { name: 'Go there' }).click()
  await page.getByText('There is no collection of this name yet').waitFor()
  await page.getByRole('button', { name: 'A text' }).click()
  await page.getByLabel('Title').fill('Soup')
  await page.getByLabel('Text', { exact: true }).fill('Soup needs an onion.')
  await page.getByRole('button', { name: 'Add', exact: true }).click()
  await page.getByRole('link', { name: 'Soup' }).first().waitFor()
  await page.getByText('Share, embedding model, snapshots, delete').click()
  await page.getByRole('checkbox').check()
  await page.getByText('The collection is shared now.').waitFor()
  await page.getByLabel('Name of the snapshot').fill('winter')
  await page.getByRole('button', { name: 'Save a snapshot' }).click()
  await page.getByRole('button', { name: 'Load “winter” into this collection' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Load', exact: true }).click()
  await page.getByText('“winter” was loaded: 1 passage.').waitFor()
  await page.getByRole('button', { name: 'Delete the collection' }).click()
  await page.getByText('1 document and 1 passage will be deleted for good.').waitFor()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete the collection' }).click()
  await page.getByText('Nothing is here yet.').waitFor()
})

webTest('the address of a page says what leaves the machine, and a service that is local only fetches none', async () => {
  const asked: string[] = []
  const fetchPage = async (url: URL) => {
    asked.push(url.href)
    const body = Readable.from([Buffer.from('<h1>Far away</h1><p>A page of the web.</p>')])
    return { body, name: 'far.html', mediaType: 'text/html' }
  }
  const { page } = await openDocuments({ fetchPage })
  await page.getByRole('button', { name: 'A web page' }).click()
  await page.getByText('The address leaves this machine').waitFor()
  await page.getByLabel('Address').fill('https://example.org/far')
  await page.getByRole('button', { name: 'Add', exact: true }).click()
  await uploads(page).getByText('added', { exact: true }).waitFor()
  expect(asked).toEqual(['https://example.org/far'])

  const closed = await openDocuments({ settings: { LOCAL_ONLY: 'true' } })
  await closed.page.getByRole('button', { name: 'A web page' }).click()
  await closed.page.getByText('it fetches nothing from the web').waitFor()
  expect(await closed.page.getByLabel('Address').isDisabled()).toBe(true)
})

webTest('an upload goes on while other pages are shown, keeps the tab from closing unasked, and can be cancelled', async () => {
  const gates: Array<() => void> = []
  const fetchPage = async (_url: URL, signal: AbortSignal) => {
    const gate = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => gate.reject(signal.reason))
    gates.push(gate.resolve)
    await gate.promise
    return { body: Readable.from([Buffer.from('A page.')]), name: 'page.txt', mediaType: 'text/plain' }
  }
  const { page, incidents } = await openDocuments({ fetchPage })
  const add = async (address: string) => {
    await page.getByRole('button', { name: 'A web page' }).click()
    await page.getByLabel('Address').fill(address)
    await page.getByRole('button', { name: 'Add', exact: true }).click()
  }
  await add('https://example.org/1')
  await uploads(page).getByRole('progressbar').waitFor()
  await page.getByRole('link', { name: 'Models' }).click()
  await page.getByRole('heading', { level: 1, name: 'Models' }).waitFor()
  await page.close({ runBeforeUnload: true })
  await expect.poll(() => incidents.dialogs.length).toBe(1)
  gates[0]?.()
  await page.getByRole('link', { name: 'Documents' }).click()
  await uploads(page).getByText('added', { exact: true }).waitFor()
  await add('https://example.org/2')
  await expect.poll(() => gates.length).toBe(2)
  await page.getByRole('button', { name: 'Cancel “https://example.org/2”' }).click()
  await uploads(page).getByText('cancelled', { exact: true }).waitFor()
  await uploads(page).filter({ hasText: 'example.org/2' }).getByRole('button', { name: 'Try again' }).click()
  await expect.poll(() => gates.length).toBe(3)
  gates[2]?.()
  await uploads(page).filter({ hasText: 'example.org/2' }).getByText('is there already as “page.txt”').waitFor()
})

webTest('whoever has not signed in may ask what is shared, and adds nothing', async () => {
  const { page, server } = await openDocuments()
  await drop(page, museum)
  await page.getByRole('link', { name: /^default/ }).click()
  await page.getByText('Share, embedding model, snapshots, delete').click()
  await page.getByRole('checkbox').check()
  await page.getByText('The collection is shared now.').waitFor()
  await page.context().clearCookies()
  await page.goto('about:blank')
  await page.goto(`${server.url}/#/documents`)
  await page.getByRole('link', { name: /^default.*shared by somebody else/s }).click()
  await ask(page, 'When does the museum open?')
  expect(await answerOf(page).textContent()).toContain('It opens at ten')
  expect(await page.getByRole('button', { name: 'Add files' }).count()).toBe(0)
  expect(await page.getByRole('dialog').count()).toBe(0)
})

webTest('on a phone and in Spanish nothing is wider than the page, and a few keys go through all of it', async () => {
  const viewport = { width: 390, height: 844 }
  const { page, incidents } = await openDocuments({}, { place: '/default', locale: 'es', viewport })
  await drop(page, { ...bread, name: `${'un-nombre-muy-largo-'.repeat(8)}.txt` }, broken)
  await page.getByText('No se pudo leer este archivo.').waitFor()
  await page.getByRole('textbox', { name: /pregunta/i }).focus()
  await page.keyboard.type('¿Qué lleva el pan?')
  await page.keyboard.press('Enter')
  await page.locator('article .facts').waitFor()
  expect(await page.locator('article .facts').textContent()).toContain('en esta máquina')
  await page.getByText('Radiografía', { exact: true }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('table', { name: 'Encontrado por significado' }).waitFor()
  const widths = () => page.evaluate(`document.querySelector('#content').scrollWidth`)
  expect(await widths()).toBe(viewport.width)
  await page.getByRole('button', { name: /^Eliminar «un-nombre/ }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.locator('dialog').waitFor({ state: 'detached' })
  await expect.poll(() => page.evaluate('document.activeElement.ariaLabel')).toMatch(/^Eliminar «un-nombre/)
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').getByRole('button', { name: 'Eliminar', exact: true }).focus()
  await page.keyboard.press('Enter')
  await page.getByText('Esta colección está vacía.').waitFor()
  expect(incidents).toEqual(noIncidents)
})

webTest('names, texts and answers are text, whatever they hold', async () => {
  const host = writes(`${payloads.join(' ')} [1].`)
  const { page, incidents, server } = await openDocuments({ host })
  const name = payloads[0] ?? ''
  await page.goto(`${server.url}/#/documents/${encodeURIComponent(name)}`)
  const text = payloads.join('\n\n')
  await drop(page, { name: 'evil.txt', bytes: text })
  await page.getByRole('heading', { level: 1, name }).waitFor()
  await uploads(page).getByText('added', { exact: true }).waitFor()
  for (const payload of payloads.slice(1, 4)) {
    await page.getByRole('button', { name: 'A text' }).click()
    await page.getByLabel('Title').fill(payload)
    await page.getByLabel('Text', { exact: true }).fill(payload)
    await page.getByRole('button', { name: 'Add', exact: true }).click()
    await uploads(page).filter({ hasText: payload }).getByRole('link').waitFor()
  }
  await ask(page, payloads.join(' '))
  expect(await answerOf(page).textContent()).toContain(payloads[1])
  await page.getByText('X-ray', { exact: true }).click()
  await page
    .getByRole('link', { name: /^Open in the document/ })
    .first()
    .click()
  await page.getByText('this is the passage').waitFor()
  expect(incidents).toEqual(noIncidents)
})
