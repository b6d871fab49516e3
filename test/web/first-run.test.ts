import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { noIncidents } from './browser.ts'
import { openApp, webTest } from './open-app.ts'

const host = (models?: readonly string[]) =>
  createFakeEngine({ answer: () => ({ pieces: ['a'] }), ...(models === undefined ? {} : { models }) })

async function makeAccount(page: Page, { repeated = 'a-long-password' } = {}) {
  await page.getByLabel('Username').fill('ana')
  await page.getByLabel('Password', { exact: true }).fill('a-long-password')
  await page.getByLabel('Password once more').fill(repeated)
  await page.getByRole('button', { name: 'Create the account' }).click()
}

webTest('the first visitor makes the account of the admin, who is then shown around', async () => {
  const { page, incidents, server } = await openApp({ host: host() }, { isFirstRun: true })
  await page.getByRole('heading', { name: 'Welcome to simpleIA' }).waitFor()
  await makeAccount(page, { repeated: 'another-password' })
  await page.getByText('The two passwords are not the same.').waitFor()
  await expect.poll(() => page.locator(':focus').getAttribute('id')).toBe('first-again')
  await page.getByLabel('Password once more').fill('a-long-password')
  await page.getByRole('button', { name: 'Create the account' }).click()
  const tour = page.getByRole('region', { name: 'First steps' })
  await tour.waitFor()
  expect(await tour.textContent()).toContain('Write a question in the chat')
  expect(await page.getByRole('link', { name: 'Administration' }).count()).toBe(1)
  await page.goto(`${server.url}/#/models`)
  await tour.getByRole('link', { name: 'Take me there' }).click()
  await expect.poll(() => page.url()).toBe(`${server.url}/#/`)
  await tour.getByRole('button', { name: 'Skip the tour' }).click()
  await page.reload()
  await page.getByRole('button', { name: 'First steps' }).waitFor()
  expect(await tour.count()).toBe(0)
  await page.getByRole('button', { name: 'First steps' }).click()
  await tour.waitFor()
  expect(incidents).toEqual(noIncidents)
})

webTest('who wants to look around first can, where one may ask without an account; another visit welcomes again', async () => {
  const { page } = await openApp({ host: host() }, { isFirstRun: true, locale: 'es' })
  await page.getByRole('button', { name: 'Echar un vistazo antes' }).click()
  await page.getByRole('navigation', { name: 'Páginas' }).waitFor()
  await page.evaluate(() => sessionStorage.clear())
  await page.reload()
  await page.getByRole('heading', { name: 'Te damos la bienvenida' }).waitFor()
  await page.getByRole('button', { name: 'English' }).click()
  await page.getByRole('heading', { name: 'Welcome to simpleIA' }).waitFor()
})

webTest('where every question needs an account, there is no way around it', async () => {
  const { page } = await openApp({ host: host(), settings: { ALLOW_ANONYMOUS: 'false' } }, { isFirstRun: true })
  await page.getByRole('button', { name: 'Create the account' }).waitFor()
  expect(await page.getByRole('button', { name: 'Look around first' }).count()).toBe(0)
})

webTest('without a model the welcome and the tour say what to do', async () => {
  const { page, server } = await openApp({ host: host([]) }, { isFirstRun: true })
  await page.getByText('No chat model is installed yet').waitFor()
  await makeAccount(page)
  const tour = page.getByRole('region', { name: 'First steps' })
  await tour.getByRole('link', { name: 'Open Models' }).click()
  await expect.poll(() => page.url()).toBe(`${server.url}/#/models`)
  await page.getByText('nothing can answer yet').waitFor()
  await page.getByRole('button', { name: /^Download Qwen\/Qwen3-0.6B-GGUF/ }).waitFor()
})

webTest('an account that somebody else has made meanwhile is told of', async () => {
  const { page, server } = await openApp({ host: host() }, { isFirstRun: true })
  await page.getByRole('heading', { name: 'Welcome to simpleIA' }).waitFor()
  await server.login('ana')
  await makeAccount(page)
  await page.getByText('Somebody has made an account in the meantime.').waitFor()
  await page.getByRole('button', { name: 'Go on' }).click()
  await page.getByRole('dialog', { name: 'Sign in' }).waitFor()
})

webTest('who comes where somebody has an account sees the page', async () => {
  const { page, server } = await openApp({ host: host() }, { isFirstRun: true })
  await server.login('ana')
  await page.reload()
  await page.getByRole('navigation', { name: 'Pages' }).waitFor()
  expect(await page.getByRole('heading', { name: 'Welcome to simpleIA' }).count()).toBe(0)
})
