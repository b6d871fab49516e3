import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { noIncidents, signIn } from './browser.ts'
import { createEcho } from './echo.ts'
import { openApp, webTest } from './open-app.ts'

const says = (text: string) =>
  createScriptedHost(() => [
    { type: 'text-delta', index: 0, text },
    { type: 'choice-end', index: 0, reason: 'stop' },
    generationEnd(),
  ])

async function ask(page: Page, question: string) {
  await page.locator('#question').fill(question)
  await page.locator('#question').press('Enter')
  await page.locator('#sidebar .row [aria-current]').waitFor()
  await page.locator('#send').waitFor()
}

const picker = (page: Page) => page.locator('.picker')

async function openSettings(page: Page) {
  await page.getByRole('button', { name: /^How it answers/ }).click()
  const dialog = page.getByRole('dialog', { name: 'How it answers' })
  await dialog.waitFor()
  return dialog
}

const save = async (page: Page) => {
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
}

webTest('what is set for a conversation arrives at the model, and is there when one comes back', async () => {
  const host = says('fine')
  const { page, incidents } = await openApp({ host })
  let dialog = await openSettings(page)
  await dialog.getByLabel('Instructions').fill('Answer in rhymes.')
  await dialog.getByLabel('Temperature').fill('0,3')
  await dialog.getByLabel('Top-k').fill('7')
  await dialog.getByLabel('Seed').fill('42')
  await dialog.getByLabel('Longest answer').fill('99')
  await save(page)
  await ask(page, 'Hello')
  expect(host.asked[0]).toMatchObject({ maxTokens: 99, sampling: { seed: 42, temperature: 0.3, topK: 7 } })
  expect(JSON.stringify(host.asked[0]?.prompt)).toContain('Answer in rhymes.')
  await page.reload()
  await page.getByRole('button', { name: 'How it answers (changed)' }).waitFor()
  dialog = await openSettings(page)
  expect(await dialog.getByLabel('Temperature').inputValue()).toBe('0.3')
  await dialog.getByRole('button', { name: 'Clear all' }).click()
  await save(page)
  await ask(page, 'Once more')
  expect(host.asked[1]?.sampling.topK).not.toBe(7)
  expect(incidents).toEqual(noIncidents)
})

webTest('what is wrong is said while it is typed, and not saved', async () => {
  const { page } = await openApp({ host: says('fine') })
  const dialog = await openSettings(page)
  await dialog.getByLabel('Temperature').fill('3')
  await dialog.getByText('A number from 0 to 2.').waitFor()
  await dialog.getByLabel('Tools').fill('[{"name": "not a name"}]')
  await dialog.getByText('The "name" of tool 1').waitFor()
  await dialog.getByRole('button', { name: 'Save', exact: true }).click()
  expect(await page.evaluate('document.activeElement.getAttribute("aria-invalid")')).toBe('true')
  await dialog.getByLabel('Temperature').fill('1')
  await dialog.getByLabel('Tools').fill('{"type":"function","function":{"name":"add","parameters":{"type":"object"}}}')
  await dialog.getByText('Tools: 1').waitFor()
  await save(page)
})

webTest('presets are saved, filled in, renamed, replaced, deleted and brought back', async () => {
  const { page } = await openApp({ host: says('fine') })
  let dialog = await openSettings(page)
  await dialog.getByLabel('Temperature').fill('0.1')
  await dialog.getByLabel('Name of the preset').fill('exact')
  await dialog.getByRole('button', { name: 'Save these as a preset' }).click()
  await dialog.getByText('“exact” is saved.').waitFor()
  await page.keyboard.press('Escape')
  dialog = await openSettings(page)
  expect(await dialog.getByLabel('Temperature').inputValue()).toBe('')
  await dialog.getByRole('button', { name: 'Fill in “exact”' }).click()
  expect(await dialog.getByLabel('Temperature').inputValue()).toBe('0.1')
  const act = async (name: string, action: string) => {
    await dialog.getByRole('button', { name: `What to do with “${name}”` }).click()
    await page.getByRole('menuitem', { name: action }).click()
  }
  await act('exact', 'Rename')
  await dialog.locator('li').getByLabel('Name of the preset').fill('precise')
  await page.keyboard.press('Enter')
  await dialog.getByRole('button', { name: 'Fill in “precise”' }).waitFor()
  await dialog.getByLabel('Temperature').fill('0.2')
  await act('precise', 'Replace')
  await dialog.getByText('“precise” is saved.').waitFor()
  await act('precise', 'Delete')
  await dialog.getByText('“precise” was deleted.').waitFor()
  await dialog.getByRole('button', { name: 'Undo' }).click()
  await dialog.getByRole('button', { name: 'Clear all' }).click()
  await dialog.getByRole('button', { name: 'Fill in “precise”' }).click()
  expect(await dialog.getByLabel('Temperature').inputValue()).toBe('0.2')
})

webTest('a person chooses who answers by the keyboard, and is told what is in the cloud', async () => {
  const host = createFakeEngine({ answer: () => ({ pieces: ['from here'] }), models: ['small', 'large'] })
  const claude = { ...says('from afar'), name: 'claude', ranOn: 'cloud', models: [{ name: 'scripted' }] } as const
  const { page, incidents } = await openApp({
    host,
    readElsewhere: async () => ({ providers: [claude], routes: new Map([['careful', ['hf/small', 'claude/scripted']]]) }),
  })
  await expect.poll(() => picker(page).textContent()).toContain('small')
  await picker(page).focus()
  await page.keyboard.press('Enter')
  const choices = page.locator('.choice')
  await expect.poll(() => choices.count()).toBe(5)
  const said = (await choices.allTextContents()).map((text) => text.replaceAll(/\s+/g, ' ').trim())
  expect(said[0]).toContain('The one that the service has selected Now: small · in memory')
  expect(said[1]).toContain('large not loaded')
  expect(said[3]).toContain('careful')
  expect(said[4]).toMatch(/scripted claude \(cloud\) cloud/)
  await page.keyboard.press('End')
  await page.keyboard.press('Enter')
  await expect.poll(() => picker(page).textContent()).toContain('cloud')
  expect(await page.evaluate('document.activeElement.className')).toContain('picker')
  await ask(page, 'Where are you?')
  expect(claude.asked).toHaveLength(1)
  await picker(page).click()
  await page.keyboard.press('Escape')
  await page.locator('.popup').waitFor({ state: 'hidden' })
  expect(await page.evaluate('document.activeElement.className')).toContain('picker')
  expect(incidents).toEqual(noIncidents)
})

webTest('an admin makes another model the one for everybody, and loads and unloads models', async () => {
  const loaded: string[] = []
  const host = createFakeEngine({
    answer: () => ({ pieces: ['x'] }),
    models: ['small', 'large'],
    onLoad: (name) => loaded.push(name),
  })
  const { page } = await openApp({ host })
  await page.getByRole('button', { name: 'Sign in' }).click()
  await signIn(page, 'ana', { register: true })
  const act = async (name: string, action: string) => {
    await page.getByRole('button', { name: `What to do with ${name}` }).click()
    await page.getByRole('menuitem', { name: action }).click()
  }
  await picker(page).click()
  await act('large', 'Load into memory')
  await expect.poll(() => loaded).toContain('large')
  await expect.poll(() => page.locator('.choice', { hasText: 'large' }).textContent()).toContain('in memory')
  await act('large', 'Take out of memory')
  await expect.poll(() => page.locator('.choice', { hasText: 'large' }).textContent()).toContain('not loaded')
  await act('large', 'Make this the model for everybody')
  await page.getByText('large answers now where nobody chooses another.').waitFor()
  await expect.poll(() => picker(page).textContent()).toContain('large')
})

webTest('a model that is being loaded is shown to be, until it is there', async () => {
  const host = createFakeEngine({ answer: () => ({ pieces: ['x'] }) })
  let isLoading = true
  const listed = async () =>
    (await host.list()).map((one) => ({ ...one, ...(isLoading ? ({ state: 'loading', memoryBytes: 0 } as const) : {}) }))
  const { page } = await openApp({ host: { ...host, list: listed } })
  const status = page.locator('.head [role="status"]')
  await status.waitFor()
  expect(await status.textContent()).toBe('fake is being loaded into memory…')
  expect(await page.locator('.head progress').isVisible()).toBe(true)
  isLoading = false
  await status.waitFor({ state: 'detached' })
})

webTest('models that share the conversations are told with their shares', async () => {
  const { page } = await openApp({ host: says('fine') })
  const answer = { model_name: 'scripted', provider: 'hf', ran_on: 'local', loaded: true, state: 'ready' }
  const arms = [
    { model: 'scripted', share: 80 },
    { model: 'scripted+new', share: 20 },
  ]
  await page.route('**/model', (route) => route.fulfill({ json: { ...answer, rollout: { id: 'r', arms } } }))
  await picker(page).click()
  await page.getByText('A trial shares the conversations: scripted 80 % · scripted+new 20 %').waitFor()
})

webTest('files go with a question as its text; pictures are refused, and chips are taken away', async () => {
  const host = says('fine')
  const { page, incidents } = await openApp({ host })
  const files = page.locator('input[type="file"][multiple]')
  const text = (name: string, content: string) => ({ name, mimeType: 'text/plain', buffer: Buffer.from(content) })
  await files.setInputFiles([text('<b>notes</b>.txt', 'The code is 7341.'), text('other.md', 'nothing')])
  await page.getByRole('list', { name: 'Attached files' }).getByText('<b>notes</b>.txt').waitFor()
  await files.setInputFiles([{ name: 'cat.png', mimeType: 'image/png', buffer: Buffer.from('\x89PNG\r\n', 'latin1') }])
  await page.getByText('“cat.png” was not attached: it is an image').waitFor()
  await page.getByRole('button', { name: 'Remove “other.md”' }).click()
  expect(await page.getByText('other.md').count()).toBe(0)
  expect(await page.evaluate('document.activeElement.getAttribute("aria-label")')).toBe('Attach files')
  await ask(page, 'What is the code?')
  const prompt = JSON.stringify(host.asked[0]?.prompt)
  expect(prompt).toContain('The code is 7341.')
  expect(prompt).not.toContain('nothing')
  expect(incidents).toEqual(noIncidents)
})

webTest('a page becomes a document of a collection, and the conversation answers from it', async () => {
  const host = says('fine')
  const { page } = await openApp({ host })
  await page.getByRole('button', { name: 'Sign in' }).click()
  await signIn(page, 'ana', { register: true })
  const html = '<!doctype html><title>Storks</title><p>Storks nest on the tower of the church of San Miguel every spring.</p>'
  const file = { name: 'storks.html', mimeType: 'text/html', buffer: Buffer.from(html) }
  await page.locator('input[type="file"][multiple]').setInputFiles(file)
  const dialog = page.getByRole('dialog', { name: 'Add to the documents?' })
  await dialog.getByLabel('Name of the collection').fill('birds')
  await dialog.getByRole('button', { name: 'Add' }).click()
  await dialog.getByText('added', { exact: true }).waitFor()
  await dialog.getByRole('button', { name: 'Done' }).click()
  await dialog.waitFor({ state: 'hidden' })
  const settings = await openSettings(page)
  await expect.poll(() => settings.getByLabel('Answers from documents').inputValue()).toBe('birds')
  expect(await settings.getByLabel('Answers from documents').textContent()).toContain('birds (1 documents)')
  await page.keyboard.press('Escape')
  await ask(page, 'Where do storks nest?')
  expect(JSON.stringify(host.asked.at(-1)?.prompt)).toContain('San Miguel')
})

webTest('a document that fails says why, and is tried again', async () => {
  const { page } = await openApp({ host: createEcho() })
  await page.getByRole('button', { name: 'Sign in' }).click()
  await signIn(page, 'ana', { register: true })
  const file = { name: 'broken.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF-1.7 nothing more') }
  await page.locator('input[type="file"][multiple]').setInputFiles(file)
  const dialog = page.getByRole('dialog', { name: 'Add to the documents?' })
  await dialog.getByRole('button', { name: 'Add' }).click()
  await dialog.locator('.files .error').last().waitFor()
  await dialog.getByRole('button', { name: 'Try again' }).waitFor()
  await dialog.getByRole('button', { name: 'Done' }).click()
  expect(await page.getByRole('button', { name: 'How it answers', exact: true }).count()).toBe(1)
})
