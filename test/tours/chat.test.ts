import { readFile } from 'node:fs/promises'
import type { Locator, Page } from 'playwright-core'
import { expect } from 'vitest'
import type { MessageAnswer, MessagesPage } from '../../src/conversations/schema.ts'
import { texts as listTexts } from '../../web/chat/list/texts.ts'
import { texts as settingsTexts } from '../../web/chat/settings/texts.ts'
import { texts } from '../../web/chat/texts.ts'
import { texts as shellTexts } from '../../web/shell/texts.ts'
import { type Tour, tour } from './tour.ts'
import { button, inSidebar, leaveSidebar, openAccount, tabTo } from './walking.ts'
import { wordsOf } from './words.ts'

const answers = (page: Page) => page.locator('.answer')
const textOf = async (answer: Locator) => (await answer.locator('.content').textContent()) ?? ''
const short = '16'
const long = '120'

tour('chat', {}, async (tour) => {
  const { page, show } = tour
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  await page.locator('.welcome').waitFor()
  await show('welcome')
  await settle(tour)
  await answerAgain(tour)
  await rateAndCorrect(tour)
  await compare(tour)
  await branch(tour)
  await stop(tour)
  await reload(tour)
  await keepList(tour)
  await exportAndImport(tour)
  await signInAndOut(tour)
  await switchLanguageAndTheme(tour)
  await byKeyboardAlone(tour)
})

async function ask(page: Page, question: string): Promise<Locator> {
  const before = await answers(page).count()
  await page.locator('#question').fill(question)
  await page.locator('#question').press('Enter')
  return answers(page).nth(before)
}

const ended = (answer: Locator) => answer.locator('.facts').waitFor()

/** Waits until some of an answer is there. */
async function begun(answer: Locator): Promise<string> {
  await expect.poll(async () => (await textOf(answer)).length, { interval: 20 }).toBeGreaterThan(5)
  return textOf(answer)
}

async function lastMessage({ page, service }: Tour): Promise<MessageAnswer> {
  const id = new URL(page.url()).hash.replace('#/c/', '')
  const response = await page.request.get(`${service.baseUrl}/conversations/${id}/messages?limit=1`)
  const { items }: MessagesPage = await response.json()
  const [message] = items
  if (message === undefined) throw new Error('The conversation has no message.')
  return message
}

async function changeSettings(tour: Tour, change: (dialog: Locator) => Promise<void>, save = true) {
  const { page, language } = tour
  const say = wordsOf(settingsTexts, language)
  await page.locator('#settings').click()
  const dialog = page.getByRole('dialog', { name: say('title') })
  await change(dialog)
  if (save) await button(dialog, say('save')).click()
  await dialog.waitFor({ state: 'hidden' })
}

/** Settings and presets that arrive at the model. */
async function settle(tour: Tour) {
  const { page, language, show } = tour
  const say = wordsOf(settingsTexts, language)
  const chat = wordsOf(texts, language)
  await changeSettings(tour, async (dialog) => {
    await dialog.getByLabel(say('temperature')).fill('0')
    await dialog.getByLabel(say('max_length')).fill(short)
    await dialog.getByLabel(say('presetName')).fill('Brief')
    await button(dialog, say('savePreset')).click()
    await dialog.getByText(say('presetSaved', { name: 'Brief' })).waitFor()
    await show('settings')
  })
  const first = await ask(page, 'Write a long story about a lighthouse.')
  await ended(first)
  expect(await first.locator('.facts').textContent()).toContain(chat('tokens', { count: short }))
  expect(await first.locator('.facts').textContent()).toContain(chat('tooLong'))
  await show('answered')
}

async function answerAgain(tour: Tour) {
  const { page, language } = tour
  const say = wordsOf(texts, language)
  const answer = answers(page).first()
  const [before, text] = [await lastMessage(tour), await textOf(answer)]
  await changeSettings(tour, async (dialog) => {
    await dialog.getByLabel(wordsOf(settingsTexts, language)('system')).fill('You are a parrot. Begin with: Squawk, squawk!')
  })
  await button(answer, say('regenerate')).click()
  await answer.getByText('2/2').waitFor()
  await ended(answer)
  const after = await lastMessage(tour)
  expect(after.usage?.prompt_tokens).toBeGreaterThan((before.usage?.prompt_tokens ?? 0) + 5)
  await button(answer, say('earlierVersion')).click()
  await answer.getByText('1/2').waitFor()
  expect(await textOf(answer)).toBe(text)
  await button(answer, wordsOf(shellTexts, language)('copy')).first().click()
  await expect.poll(() => page.evaluate('navigator.clipboard.readText()')).toBe(before.content)
}

async function rateAndCorrect({ page, language, show }: Tour) {
  const say = wordsOf(texts, language)
  const answer = answers(page).first()
  await button(answer, say('rateDown')).click()
  await answer.getByLabel(say('tagIncomplete')).check()
  await show('rated')
  await button(answer, say('commentSend')).click()
  await answer.getByText(say('thanks')).waitFor()
  await button(answer, say('correct')).click()
  await answer.getByLabel(say('editLabel')).fill('Once upon a time, a *lighthouse* was lit.')
  await show('correcting')
  await button(answer, say('editSave')).click()
  await answer.getByText(say('corrected')).waitFor()
  expect((await textOf(answer)).trim()).toBe('Once upon a time, a lighthouse was lit.')
}

async function compare({ page, language, show }: Tour) {
  const say = wordsOf(texts, language)
  await button(answers(page).first(), say('compareWith')).click()
  await button(page.getByRole('dialog'), say('compareStart')).click()
  const comparison = page.getByRole('region', { name: say('comparison') })
  await expect.poll(() => button(comparison, say('better')).count()).toBe(2)
  await show('comparison')
  await button(comparison, say('better')).first().click()
  await comparison.waitFor({ state: 'hidden' })
  await answers(page).first().getByText(say('corrected')).waitFor()
}

async function branch({ page, language, show }: Tour) {
  const say = wordsOf(texts, language)
  const asked = page.locator('.asked').first()
  await button(asked, say('edit')).click()
  await asked.getByLabel(say('editQuestionLabel')).fill('Write a long story about a ship.')
  await button(asked, say('editQuestionSave')).click()
  await asked.getByText('2/2').waitFor()
  await ended(answers(page).first())
  await show('branch')
  await button(asked, say('earlierVersion')).click()
  await asked.getByText('lighthouse').waitFor()
  await answers(page).first().getByText(say('corrected')).waitFor()
}

async function stop(tour: Tour) {
  const { page, language } = tour
  const say = wordsOf(texts, language)
  await changeSettings(tour, async (dialog) => {
    await dialog.getByLabel(wordsOf(settingsTexts, language)('system')).fill('')
    await dialog.getByLabel(wordsOf(settingsTexts, language)('max_length')).fill(long)
    // So that the small model has more to say.
    await dialog.getByLabel(wordsOf(settingsTexts, language)('repeat_penalty')).fill('1')
  })
  await button(page.locator('.asked').first(), say('edit')).click()
  // At the beginning of a conversation, the small model goes on with this.
  await page.getByLabel(say('editQuestionLabel')).fill('1 2 3 4 5 6 7 8 9 10 11 12 13')
  await button(page, say('editQuestionSave')).click()
  await page.locator('.asked').first().getByText('3/3').waitFor()
  const answer = answers(page).first()
  await begun(answer)
  await button(page, say('stop')).click()
  await answer.getByText(say('stopped')).waitFor()
  await button(answer, say('regenerate')).click()
  await answer.getByText('2/2').waitFor()
  await begun(answer)
  await page.keyboard.press('Escape')
  await answer.getByText(say('stopped')).waitFor()
}

/** The answer goes on while the page is loaded again. */
async function reload({ page, language, show }: Tour) {
  const answer = answers(page).first()
  await button(answer, wordsOf(texts, language)('regenerate')).click()
  await answer.getByText('3/3').waitFor()
  const before = await begun(answer)
  await page.reload()
  await expect.poll(async () => (await textOf(answer)).length).toBeGreaterThan(before.length)
  await show('writing')
  await ended(answer)
  expect((await textOf(answer)).startsWith(before.trimEnd())).toBe(true)
}

async function keepList(tour: Tour) {
  const { page, language, show } = tour
  const say = wordsOf(listTexts, language)
  const { rows, choose } = listOf(tour)
  await inSidebar(tour, () => choose('lighthouse', say('rename')))
  await page.getByLabel(say('titleOf')).fill('Towers')
  await page.keyboard.press('Enter')
  await rows('Towers').waitFor()
  await choose('Towers', say('pin'))
  await page.locator('#sidebar').getByText(say('pinned'), { exact: true }).waitFor()
  await page.getByLabel(say('search')).fill('lightho')
  await page.getByText(say('foundOne')).waitFor()
  await show('list')
  await page.getByLabel(say('search')).fill('')
  await choose('Towers', say('remove'))
  await page.getByText(say('removed', { title: 'Towers' })).waitFor()
  await show('removed')
  await button(page, say('undo')).click()
  await inSidebar(tour, () => rows('Towers').waitFor())
  await leaveSidebar(tour)
}

function listOf({ page }: Tour) {
  const rows = (title: string) => page.locator('#sidebar li.row').filter({ hasText: title }).first()
  async function choose(title: string, action: string) {
    await rows(title).getByRole('button').click()
    await page.getByRole('menuitem', { name: action }).click()
  }
  return { rows, choose }
}

async function exportAndImport(tour: Tour) {
  const { page, language } = tour
  const say = wordsOf(listTexts, language)
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    inSidebar(tour, () => listOf(tour).choose('Towers', say('exportJson'))),
  ])
  const buffer = await readFile(await download.path())
  expect(buffer.toString()).toContain('*lighthouse* was lit')
  const file = { name: 'towers.json', mimeType: 'application/json', buffer }
  await page.locator('#sidebar').getByLabel(say('importFile')).setInputFiles(file)
  await expect.poll(() => page.locator('#sidebar li.row').count()).toBe(2)
  await leaveSidebar(tour)
}

async function signInAndOut(tour: Tour) {
  const { page, language, username, show } = tour
  const shell = wordsOf(shellTexts, language)
  await inSidebar(tour, (sidebar) => button(sidebar, shell('signIn')).click())
  await show('sign-in')
  await openAccount(tour)
  // What a visitor has asked is not theirs.
  await page.locator('.welcome').waitFor()
  await inSidebar(tour, (sidebar) => sidebar.getByText(wordsOf(listTexts, language)('empty')).waitFor())
  await page.locator('#sidebar').getByText(username).waitFor()
  await show('signed-in')
  // A new conversation begins for who signs in, with which the column closes.
  await leaveSidebar(tour)
  const begunAnew = page.waitForEvent('load')
  await inSidebar(tour, (sidebar) => button(sidebar, shell('signOut')).click())
  await begunAnew
  await page.locator('.welcome').waitFor()
  await inSidebar(tour, (sidebar) => expect.poll(() => sidebar.locator('li.row').count()).toBe(2))
}

async function switchLanguageAndTheme(tour: Tour) {
  const { page, language, show } = tour
  const [other, name] = language === 'en' ? (['es', 'Español'] as const) : (['en', 'English'] as const)
  await inSidebar(tour, (sidebar) => button(sidebar, name).click())
  await page.locator('#sidebar').getByText(wordsOf(listTexts, other)('new')).waitFor()
  await page.getByLabel(wordsOf(shellTexts, other)('theme')).selectOption('dark')
  await expect.poll(() => page.evaluate('document.documentElement.dataset.theme')).toBe('dark')
  await leaveSidebar(tour)
  await show('dark')
  await inSidebar({ ...tour, language: other }, (sidebar) => button(sidebar, language === 'en' ? 'English' : 'Español').click())
  await page.getByLabel(wordsOf(shellTexts, language)('theme')).selectOption('system')
}

/** From a fresh page to a question, its answer, the settings, a conversation of the list, and back. */
async function byKeyboardAlone({ page, language, size, service }: Tour) {
  const say = wordsOf(texts, language)
  const { keyboard } = page
  await page.goto(`${service.baseUrl}/?again`)
  await page.locator('.welcome').waitFor()
  await tabTo(page, page.locator('#settings'))
  await keyboard.press('Enter')
  const dialog = page.getByRole('dialog', { name: wordsOf(settingsTexts, language)('title') })
  await tabTo(page, dialog.getByRole('button', { name: wordsOf(settingsTexts, language)('apply', { name: 'Brief' }) }))
  await keyboard.press('Enter')
  await tabTo(page, button(dialog, wordsOf(settingsTexts, language)('save')))
  await keyboard.press('Enter')
  await dialog.waitFor({ state: 'hidden' })
  await tabTo(page, page.locator('#settings'))
  await tabTo(page, page.locator('#question'))
  await keyboard.type('What is a keyboard?')
  await keyboard.press('Enter')
  const answer = answers(page).first()
  await ended(answer)
  await tabTo(page, button(answer, say('rateUp')), 'Shift+Tab')
  await keyboard.press('Enter')
  await tabTo(page, answer.getByLabel(say('tagClear')))
  await keyboard.press('Space')
  await tabTo(page, button(answer, say('commentSend')))
  await keyboard.press('Enter')
  await answer.getByText(say('thanks')).waitFor()
  await tabTo(page, button(answer, say('correct')), 'Shift+Tab')
  await keyboard.press('Enter')
  await answer.getByLabel(say('editLabel')).waitFor()
  await keyboard.press('Escape')
  await expect.poll(() => page.locator(':focus').getAttribute('aria-label')).toBe(say('correct'))
  await tabTo(page, page.locator('#settings'), 'Shift+Tab')
  if (size === 'phone') {
    await tabTo(page, button(page, wordsOf(shellTexts, language)('menu')), 'Shift+Tab')
    await keyboard.press('Enter')
  }
  const other = page.locator('#sidebar li.row a').filter({ hasText: 'Towers' }).first()
  await tabTo(page, other, size === 'phone' ? 'Tab' : 'Shift+Tab')
  await keyboard.press('Enter')
  await expect.poll(() => page.locator('h1').textContent()).toBe('Towers')
  // On a phone the list has gone by then; the focus has not.
  await expect.poll(() => page.locator(':focus:visible').count()).toBe(1)
  await tabTo(page, page.locator('#question'))
}
