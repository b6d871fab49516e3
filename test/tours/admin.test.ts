import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { type Client, createClient } from '../../src/client.ts'
import { texts as auditTexts } from '../../web/admin/audit/texts.ts'
import { texts as egressTexts } from '../../web/admin/egress/texts.ts'
import { texts as feedbackTexts } from '../../web/admin/feedback/texts.ts'
import { texts as logTexts } from '../../web/admin/logs/texts.ts'
import { texts as overviewTexts } from '../../web/admin/overview/texts.ts'
import { texts as commonTexts } from '../../web/admin/texts.ts'
import { texts as userTexts } from '../../web/admin/users/texts.ts'
import { adminClient, becomeAdmin } from './admins.ts'
import { expectCharts } from './painted.ts'
import { type Tour, tour } from './tour.ts'
import { wordsOf } from './words.ts'

/** A host that is nowhere: who asks it has left the machine, and gets no answer. */
const hubHost = 'hub.invalid'

tour('admin', { settings: { HF_ENDPOINT: `http://${hubHost}`, LOG_LEVEL: 'info' } }, async (tour) => {
  const { page, service, username } = tour
  const client = await adminClient(service)
  await makeTraffic(client, username)
  await page.goto(`${service.baseUrl}/admin`)
  await becomeAdmin(page, service)
  await lookAtOverview(tour)
  await changeUsers(tour)
  await removeKey(tour)
  await lookAtEgress(tour)
  await lookAtAudit(tour)
  await followLog(tour, client)
  await lookAtFeedback(tour)
})

/** Answers, of which one is rated; requests that fail, a login that is refused, something that left, and a key. */
async function makeTraffic(client: Client, username: string): Promise<void> {
  const { id } = await client.predict({ prompt: `Hello from ${username}`, max_length: 5 })
  await client.predict({ prompt: 'Hello', max_length: 5, model: 'nobody' }).catch(() => {})
  await client.sendFeedback({ prediction_id: id, rating: 'down', correction: `Hello, ${username}`, tags: ['greeting'] })
  await createClient({ baseUrl: client.baseUrl })
    .login(username, 'a wrong password')
    .catch(() => {})
  for await (const message of swallow(client.pull(`acme/${username}`))) void message
  await client.addKey({ name: `key of ${username}`, scopes: ['inference'] })
}

/** What comes before the failure. */
async function* swallow<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* items
  } catch {}
}

async function lookAtOverview({ page, language, show }: Tour): Promise<void> {
  const say = wordsOf(overviewTexts, language)
  await page.getByRole('button', { name: say('refresh') }).press('Enter')
  await expectCharts(page, 8)
  await show('overview')
  await scrollTo(page, say('requests'))
  await show('charts')
  await scrollTo(page, say('models'))
  await show('models')
  await page.getByRole('link', { name: say('week') }).press('Enter')
  await expect.poll(() => page.url()).toContain('week')
  await expectCharts(page, 8)
  const table = await csvOf(page, () => page.getByRole('link', { name: say('csvOfRange') }).press('Enter'))
  expect(table[0]).toEqual(expect.arrayContaining(['at', 'requests', 'status_4xx']))
  const column = table[0]?.indexOf('status_4xx') ?? -1
  expect(table.slice(1).reduce((sum, row) => sum + Number(row[column]), 0)).toBeGreaterThan(0)
}

async function changeUsers({ page, language, username, show }: Tour): Promise<void> {
  const say = wordsOf(userTexts, language)
  const name = `new-${username}`
  await openPart(page, language, 'users')
  await page.getByRole('button', { name: say('add') }).press('Enter')
  const dialog = page.getByRole('dialog')
  await dialog.waitFor()
  await page.keyboard.type(name)
  await page.keyboard.press('Tab')
  await page.keyboard.type('a long enough password')
  await show('add-user')
  await page.keyboard.press('Enter')
  const row = page.getByRole('row', { name: new RegExp(name) })
  await row.waitFor()
  await show('users')
  await row.getByLabel(say('roleOf', { name })).selectOption('admin')
  await show('change-role')
  await dialog.getByRole('button', { name: say('change') }).press('Enter')
  await dialog.waitFor({ state: 'detached' })
  await expect.poll(() => row.getByLabel(say('roleOf', { name })).inputValue()).toBe('admin')
  await row.getByRole('button', { name: say('deleteOf', { name }) }).press('Enter')
  await dialog.getByRole('button', { name: wordsOf(commonTexts, language)('delete') }).press('Enter')
  await row.waitFor({ state: 'detached' })
  expect(await page.evaluate('document.activeElement.textContent')).toBe(say('title'))
}

async function removeKey({ page, language, username, show }: Tour): Promise<void> {
  const say = wordsOf(userTexts, language)
  const name = `key of ${username}`
  await openPart(page, language, 'keys')
  const row = page.getByRole('row', { name: new RegExp(name) })
  await row.waitFor()
  await show('keys')
  await row.getByRole('button', { name: say('deleteOf', { name }) }).press('Enter')
  await page
    .getByRole('dialog')
    .getByRole('button', { name: wordsOf(commonTexts, language)('delete') })
    .press('Enter')
  await row.waitFor({ state: 'detached' })
}

async function lookAtEgress({ page, language, show }: Tour): Promise<void> {
  const say = wordsOf(egressTexts, language)
  await openPart(page, language, 'egress')
  await page
    .getByRole('cell', { name: say('model-download') })
    .first()
    .waitFor()
  await show('egress')
  const button = page.getByRole('button', { name: wordsOf(commonTexts, language)('downloadCsv') })
  const table = await csvOf(page, () => button.press('Enter'))
  expect(table.flat()).toContain(hubHost)
}

async function lookAtAudit({ page, language, username, show }: Tour): Promise<void> {
  const say = wordsOf(auditTexts, language)
  await openPart(page, language, 'audit')
  const rows = page.locator('tbody tr')
  await rows
    .filter({ hasText: `new-${username}` })
    .first()
    .waitFor()
  await show('audit')
  const told = (await rows.allTextContents()).join('\n')
  for (const action of ['login', 'user-add', 'user-change', 'user-remove', 'key-add', 'key-remove', say('refused')])
    expect(told).toContain(action)
  const csv = page.getByRole('link', { name: wordsOf(commonTexts, language)('downloadCsv') })
  const table = await csvOf(page, () => csv.press('Enter'))
  expect(table.flat()).toContain('refused')
}

async function followLog({ page, language, show }: Tour, client: Client): Promise<void> {
  const say = wordsOf(logTexts, language)
  await openPart(page, language, 'logs')
  await page.getByText(say('following')).waitFor()
  await client.rollouts()
  await page.locator('.line', { hasText: 'route=/rollout' }).first().waitFor()
  // The newest line is in sight, also where lines are longer than a row.
  await expect
    .poll(() =>
      page.locator('.lines').evaluate(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight),
    )
    .toBeLessThan(2)
  await show('logs')
}

async function lookAtFeedback({ page, language, username, show }: Tour): Promise<void> {
  const say = wordsOf(feedbackTexts, language)
  await openPart(page, language, 'feedback')
  await page.getByText(`Hello, ${username}`).waitFor()
  await show('feedback')
  await page.getByLabel(say('rating')).selectOption('up')
  await page.getByRole('button', { name: wordsOf(commonTexts, language)('filter') }).press('Enter')
  await page.getByText(wordsOf(commonTexts, language)('nothingFiltered')).waitFor()
}

async function scrollTo(page: Page, heading: string): Promise<void> {
  await page.getByRole('heading', { name: heading, exact: true }).evaluate((element) => element.scrollIntoView())
}

async function openPart(page: Page, language: Tour['language'], part: keyof typeof commonTexts): Promise<void> {
  const say = wordsOf(commonTexts, language)
  await page
    .getByRole('navigation', { name: say('views') })
    .getByRole('link', { name: say(part) })
    .press('Enter')
  await page.getByRole('heading', { level: 2 }).first().waitFor()
}

/** The cells of a file that is downloaded; all rows are equally long. */
async function csvOf(page: Page, click: () => Promise<void>): Promise<readonly (readonly string[])[]> {
  const [download] = await Promise.all([page.waitForEvent('download'), click()])
  const text = await readFile(await download.path(), 'utf8')
  const cells = /(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r\n|$)/g
  const rows: string[][] = [[]]
  for (const [, quoted, plain = '', end] of text.trimEnd().matchAll(cells)) {
    rows.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain)
    if (end === '') break
    if (end === '\r\n') rows.push([])
  }
  expect(rows.length).toBeGreaterThan(1)
  expect(new Set(rows.map(({ length }) => length)).size).toBe(1)
  return rows
}
