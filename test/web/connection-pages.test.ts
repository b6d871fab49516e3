import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { noIncidents, signIn } from './browser.ts'
import { createEcho } from './echo.ts'
import { webTest } from './open-app.ts'
import { openThrough } from './open-through.ts'

const soon = <Value>(read: () => Value) => expect.poll(read, { timeout: 20_000 })
const away = (page: Page) => page.locator('#content').getByText('The service does not answer. Is it still running?').first()

/** An admin on a page. */
async function openAs(address: string) {
  const opened = await openThrough({ host: createEcho({ models: ['first', 'second'] }) })
  await opened.page.getByRole('button', { name: 'Sign in' }).click()
  await signIn(opened.page, 'ana', { register: true })
  await opened.page.clock.install()
  await opened.page.goto(`${opened.way.url}${address}`)
  return opened
}

webTest('the models stay shown while the service cannot be reached, and are read again by themselves', async () => {
  const { page, way, incidents } = await openAs('/#/models')
  await page.locator('[data-model="first"]').waitFor()
  way.set('down')
  await page.clock.fastForward(11_000)
  await away(page).waitFor()
  expect(await page.locator('[data-model]').count()).toBe(2)
  way.set('pass')
  const later = async () => {
    await page.clock.fastForward(2000)
    return away(page).count()
  }
  await soon(later).toBe(0)
  expect(incidents).toEqual(noIncidents)
})

webTest('the administration keeps its figures while the service cannot be reached, and recovers', async () => {
  const { page, way, incidents } = await openAs('/admin')
  await page.locator('.tiles').waitFor()
  way.set('down')
  await page.clock.fastForward(31_000)
  await away(page).waitFor()
  await page.getByText('What was read before stays shown.').waitFor()
  expect(await page.locator('.tiles').isVisible()).toBe(true)
  way.set('pass')
  await page.clock.fastForward(31_000)
  await away(page).waitFor({ state: 'detached' })
  expect(incidents).toEqual(noIncidents)
})

webTest('charts whose code could not be loaded come with the next figures', async () => {
  const { page, incidents } = await openAs('/#/documents')
  const code = '**/assets/chart-js-*'
  await page.route(code, (route) => route.abort())
  await page.goto(new URL('/admin', page.url()).href)
  await page.locator('.tiles').waitFor()
  const drawn = page.locator('.chart canvas[style*="width"]').first()
  expect(await drawn.count()).toBe(0)
  await page.unroute(code)
  await page.clock.fastForward(31_000)
  await drawn.waitFor()
  expect(incidents).toEqual(noIncidents)
})

webTest('a document that could not be sent says so, is sent when it is tried again, and the list stays', async () => {
  const { page, way, incidents } = await openAs('/#/documents')
  const pick = page.locator('#content input[type=file]').first()
  const file = (name: string) => ({ name, mimeType: 'text/plain', buffer: Buffer.from(`What ${name} says.`) })
  const uploads = page.getByRole('region', { name: 'Uploads' }).getByRole('listitem')
  await pick.setInputFiles(file('one.txt'))
  await uploads.getByText('added', { exact: true }).waitFor()
  way.set('down')
  await pick.setInputFiles(file('two.txt'))
  const second = uploads.filter({ hasText: 'two.txt' })
  await second.getByText('The service does not answer.').waitFor()
  expect(await page.getByRole('heading', { level: 1 }).count()).toBe(1)
  way.set('pass')
  await second.getByRole('button', { name: 'Try again' }).click()
  await second.getByText('added', { exact: true }).waitFor()
  expect(incidents).toEqual(noIncidents)
})

webTest('a page whose code cannot be loaded says so, and what was typed elsewhere is not lost by trying again', async () => {
  const { page, way } = await openAs('/')
  await page.locator('#question').fill('half a thou')
  way.set('down')
  await page.getByRole('link', { name: 'Models' }).click()
  await page.getByText('This page could not be loaded.').waitFor()
  await page.getByRole('button', { name: 'Try again' }).click()
  await away(page).waitFor()
  way.set('pass')
  await page.getByRole('button', { name: 'Try again' }).click()
  await page.getByRole('heading', { level: 1, name: 'Models' }).waitFor()
  await page.getByRole('link', { name: 'Chat' }).click()
  await soon(() => page.locator('#question').inputValue()).toBe('half a thou')
})

webTest('the list of conversations says that it cannot be loaded, and what was said stays shown', async () => {
  const { page, way } = await openAs('/')
  await page.locator('#question').fill('apples')
  await page.locator('#question').press('Enter')
  await page.locator('.facts').waitFor()
  way.set('down')
  await page.getByLabel('Search conversations').fill('app')
  await page.locator('#sidebar').getByText('The service does not answer.').waitFor()
  expect(await page.locator('.answer .content').textContent()).toBe('apples')
  way.set('pass')
  await page.locator('#sidebar').getByRole('button', { name: 'Try again' }).click()
  await page.getByText('1 conversation found').waitFor()
})
