import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { noIncidents, signIn } from './browser.ts'
import { createEcho } from './echo.ts'
import { openApp, webTest } from './open-app.ts'
import { payloads } from './xss-payloads.ts'

const rows = (page: Page) => page.locator('#sidebar .row')
const titles = (page: Page) => rows(page).locator('.title').allTextContents()

/** Begins a conversation with a question, and waits until it stands in the list. */
async function begin(page: Page, question: string) {
  await page.locator('#new').click()
  await page.locator('#question').fill(question)
  await page.locator('#question').press('Enter')
  await rows(page).filter({ hasText: question }).first().waitFor()
  await page.locator('#send').waitFor()
}

/** Opens the menu of a row and chooses from it. */
async function choose(page: Page, title: string, action: string) {
  await rows(page).filter({ hasText: title }).first().getByRole('button').click()
  await page.getByRole('menuitem', { name: action }).click()
}

const focused = (page: Page) => page.evaluate('document.activeElement.textContent.trim() || document.activeElement.id')

async function signUp(page: Page) {
  await page.getByRole('button', { name: 'Sign in' }).click()
  await signIn(page, 'ana', { register: true })
}

for (const who of ['a visitor', 'a user'])
  webTest(`${who} finds the conversations in the list, the last one first, and comes back to one`, async () => {
    const { page, incidents } = await openApp({ host: createEcho() })
    if (who === 'a user') await signUp(page)
    await page.getByText('Your conversations will stand here.').waitFor()
    await begin(page, 'apples')
    await begin(page, 'pears')
    expect(await titles(page)).toEqual(['pears', 'apples'])
    expect(await page.locator('#sidebar .group').allTextContents()).toEqual(['Today'])
    expect(await page.locator('#sidebar .row [aria-current="page"]').textContent()).toContain('pears')
    await rows(page).last().getByRole('link').click()
    await expect.poll(() => page.locator('h1').textContent()).toBe('apples')
    await page.reload()
    await rows(page).first().waitFor()
    expect(await titles(page)).toEqual(['pears', 'apples'])
    expect(await page.locator('#sidebar .row [aria-current="page"]').textContent()).toContain('apples')
    expect(incidents).toEqual(noIncidents)
  })

webTest('what a visitor has asked is not in the list of who signs in', async () => {
  const { page } = await openApp({ host: createEcho() })
  await begin(page, 'mine alone')
  await signUp(page)
  await page.getByText('Your conversations will stand here.').waitFor()
  expect(await titles(page)).toEqual([])
})

webTest('a conversation gets another title by the keyboard; Escape leaves it', async () => {
  const { page } = await openApp({ host: createEcho() })
  await begin(page, 'apples')
  await rows(page).getByRole('link').focus()
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await page.getByRole('menuitem', { name: 'Rename' }).waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('menu').waitFor({ state: 'hidden' })
  expect(await page.evaluate('document.activeElement.getAttribute("aria-label")')).toBe('What to do with “apples”')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  const field = page.getByLabel('Title of the conversation')
  await field.fill('oranges')
  await field.press('Escape')
  expect(await titles(page)).toEqual(['apples'])
  expect(await focused(page)).toBe('apples')
  await choose(page, 'apples', 'Rename')
  await field.fill('oranges')
  await field.press('Enter')
  await expect.poll(() => titles(page)).toEqual(['oranges'])
  expect(await page.locator('h1').textContent()).toBe('oranges')
  expect(await focused(page)).toBe('oranges')
})

webTest('a key that comes in the moment in which a menu closes opens it again', async () => {
  const { page } = await openApp({ host: createEcho() })
  await begin(page, 'apples')
  const button = rows(page).getByRole('button')
  await button.press('Enter')
  await page.getByRole('menuitem', { name: 'Rename' }).waitFor()
  // Both in one task: that it has closed is told after them.
  await button.evaluate(`(button) => {
    button.nextElementSibling.hidePopover()
    button.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true, cancelable: true }))
  }`)
  await page.getByRole('menuitem', { name: 'Rename' }).waitFor()
  await expect.poll(() => focused(page)).toBe('Rename')
})

webTest('a title that could not be kept stays in its field, to be sent again', async () => {
  const { page } = await openApp({ host: createEcho() })
  await begin(page, 'apples')
  await choose(page, 'apples', 'Rename')
  const field = page.getByLabel('Title of the conversation')
  await page.context().setOffline(true)
  await field.fill('oranges')
  await field.press('Enter')
  await page.locator('.notice.error').waitFor()
  expect(await field.inputValue()).toBe('oranges')
  await page.context().setOffline(false)
  await field.press('Enter')
  await expect.poll(() => titles(page)).toEqual(['oranges'])
})

webTest('pinned conversations stand first', async () => {
  const { page } = await openApp({ host: createEcho() })
  for (const question of ['apples', 'pears', 'plums']) await begin(page, question)
  await choose(page, 'apples', 'Pin')
  await expect.poll(() => titles(page)).toEqual(['apples', 'plums', 'pears'])
  expect(await page.locator('#sidebar .group').allTextContents()).toEqual(['Pinned', 'Today'])
  expect(await focused(page)).toBe('apples')
  await page.locator('#question').fill('more')
  await page.locator('#question').press('Enter')
  await page.locator('#send').waitFor()
  await choose(page, 'apples', 'Unpin')
  await expect.poll(() => page.locator('#sidebar .group').allTextContents()).toEqual(['Today'])
})

webTest('a deleted conversation leaves the page, and comes back by its notice', async () => {
  const { page, server } = await openApp({ host: createEcho() })
  for (const question of ['apples', 'pears', 'plums']) await begin(page, question)
  await choose(page, 'plums', 'Delete')
  await page.getByText('“plums” was deleted.').waitFor()
  expect(await titles(page)).toEqual(['pears', 'apples'])
  expect(await page.locator('h1').textContent()).toBe('New conversation')
  expect(await focused(page)).toBe('pears')
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect.poll(() => titles(page)).toEqual(['plums', 'pears', 'apples'])
  await expect.poll(() => page.locator('h1').textContent()).toBe('plums')
  expect(await focused(page)).toBe('plums')
  await choose(page, 'apples', 'Delete')
  await page.getByText('“apples” was deleted.').waitFor()
  expect(await page.locator('h1').textContent()).toBe('plums')
  expect(await focused(page)).toBe('pears')
  await page.goto(`${server.url}/`)
  await rows(page).first().waitFor()
  expect(await titles(page)).toEqual(['plums', 'pears'])
})

webTest('a search finds words in titles and messages, and marks them; what it finds is text', async () => {
  const { page, incidents } = await openApp({ host: createEcho() })
  await begin(page, 'La canción del mar')
  await begin(page, `Hidden ${payloads[1]} canción`)
  await begin(page, 'Something else')
  await page.getByLabel('Search conversations').fill('canc')
  await page.getByText('2 conversations found').waitFor()
  expect(new Set(await page.locator('#sidebar mark').allTextContents())).toEqual(new Set(['canción']))
  await page.getByLabel('Search conversations').fill('nowhere')
  await page.getByText('Nothing found.').waitFor()
  await page.keyboard.press('Escape')
  await expect.poll(() => rows(page).count()).toBe(3)
  expect(incidents).toEqual(noIncidents)
})

webTest('one conversation and all of them are downloaded, and a file brings them in again', async () => {
  const { page } = await openApp({ host: createEcho() })
  await begin(page, 'apples and pears')
  const saved = async (click: () => Promise<void>) => {
    const [download] = await Promise.all([page.waitForEvent('download'), click()])
    return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') }
  }
  const markdown = await saved(() => choose(page, 'apples', 'Markdown'))
  expect(markdown.name).toBe('apples-and-pears.md')
  expect(markdown.text).toContain('apples and pears')
  const json = await saved(() => choose(page, 'apples', 'JSON'))
  expect(JSON.parse(json.text)).toMatchObject({ format: 'simpleia-conversation', title: 'apples and pears' })
  const all = await saved(async () => {
    await page.getByRole('button', { name: 'All conversations' }).click()
    await page.getByRole('menuitem', { name: 'Download all' }).click()
  })
  const file = {
    name: 'all.jsonl',
    mimeType: 'application/jsonl',
    buffer: Buffer.from(`${all.text.trimEnd()}\n{"what":"is this"}\n`),
  }
  await page.getByLabel('Import a file').setInputFiles(file)
  const report = page.getByRole('dialog', { name: 'What was imported' })
  await report.waitFor()
  expect(await report.textContent()).toContain('1 conversations with 2 messages')
  expect(await report.textContent()).toContain('Line 2')
  await page.keyboard.press('Escape')
  await expect.poll(() => titles(page)).toEqual(['apples and pears', 'apples and pears'])
})

webTest('a list that cannot be loaded says so, and is asked for again', async () => {
  const { page, server } = await openApp({ host: createEcho() })
  await begin(page, 'apples')
  await page.route('**/conversations*', (route) => route.fulfill({ status: 500, body: '{}' }))
  await page.goto(`${server.url}/?again`)
  const failure = page.locator('#sidebar .failure')
  await failure.waitFor()
  await page.unroute('**/conversations*')
  await failure.getByRole('button', { name: 'Try again' }).click()
  await expect.poll(() => titles(page)).toEqual(['apples'])
})

webTest('titles are text, whatever they hold: in the list, in a search, in the menu and above the conversation', async () => {
  const { page, incidents } = await openApp({ host: createEcho() })
  const time = new Date().toISOString()
  const shape = {
    format: 'simpleia-conversation',
    version: 1,
    pinned: false,
    created_at: time,
    settings: {},
    leaf_message_id: 'a',
  }
  const message = { id: 'a', parent_id: null, role: 'user', content: 'wanted', created_at: time, state: 'done' }
  const lines = payloads.map((title) => JSON.stringify({ ...shape, title, messages: [message] }))
  const file = { name: 'x.jsonl', mimeType: 'application/jsonl', buffer: Buffer.from(lines.join('\n')) }
  await page.getByLabel('Import a file').setInputFiles(file)
  await expect.poll(() => rows(page).count()).toBe(payloads.length)
  expect((await titles(page)).toSorted()).toEqual(payloads.toSorted())
  await page.getByLabel('Search conversations').fill('wanted')
  await page.getByText(`${payloads.length} conversations found`).waitFor()
  expect((await titles(page)).toSorted()).toEqual(payloads.toSorted())
  const title = (await titles(page))[0] ?? ''
  await rows(page).first().getByRole('link').click()
  await expect.poll(() => page.locator('h1').textContent()).toBe(title)
  await choose(page, title, 'Delete')
  await page.locator('.notice').getByText(title).first().waitFor()
  expect(incidents).toEqual(noIncidents)
})

webTest('on a phone, what is deleted while it is shown leaves the focus on the page', async () => {
  const { page } = await openApp({ host: createEcho() }, { viewport: { width: 390, height: 844 } })
  const open = () => page.getByRole('button', { name: 'Menu' }).click()
  await page.locator('#question').fill('apples')
  await page.locator('#question').press('Enter')
  await page.locator('#send').waitFor()
  await open()
  await choose(page, 'apples', 'Delete')
  await page.getByText('“apples” was deleted.').waitFor()
  await rows(page).first().waitFor({ state: 'hidden' })
  expect(await page.evaluate('document.activeElement.id')).toBe('content')
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
})

webTest('two thousand conversations come page by page while one scrolls', async () => {
  const { page, server } = await openApp({ host: createEcho() })
  const line = (index: number) => {
    const time = new Date(Date.UTC(2026, 0, 1) - index * 3_600_000).toISOString()
    const message = { id: 'a', parent_id: null, role: 'user', content: `q${index}`, created_at: time, state: 'done' }
    const shape = { format: 'simpleia-conversation', version: 1, pinned: false, settings: {}, leaf_message_id: 'a' }
    return JSON.stringify({ ...shape, title: `Number ${index}`, created_at: time, messages: [message] })
  }
  const buffer = Buffer.from(Array.from({ length: 2000 }, (_, index) => line(index)).join('\n'))
  await page.getByLabel('Import a file').setInputFiles({ name: 'many.jsonl', mimeType: 'application/jsonl', buffer })
  await page.getByText('2,000 conversations').waitFor()
  await page.goto(`${server.url}/?again`)
  await rows(page).nth(49).waitFor()
  expect(await rows(page).count()).toBeLessThanOrEqual(100)
  const scroll = () => page.evaluate("document.querySelector('.rest').scrollTo(0, 1e7)")
  const countScrolled = async () => {
    await scroll()
    return rows(page).count()
  }
  await expect.poll(countScrolled, { timeout: 40_000, interval: 50 }).toBe(2000)
  const start = performance.now()
  await choose(page, 'Number 1999', 'Pin')
  await page.locator('#sidebar .group', { hasText: 'Pinned' }).waitFor()
  expect(performance.now() - start).toBeLessThan(5000)
})
