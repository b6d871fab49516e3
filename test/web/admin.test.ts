import { expect } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { noIncidents, signIn } from './browser.ts'
import { openApp, webTest } from './open-app.ts'

const says = (...pieces: string[]) => createFakeEngine({ answer: () => ({ pieces }) })

webTest('the first user signs in and sees the service: health, model, users, feedback as typed', async () => {
  const { page, incidents, server } = await openApp({ host: says('x'), version: '1.2.3' }, { locale: 'es' })
  const text = '  Está «bien» & <b>claro</b>\nsegunda línea 👍 '
  await fetch(`${server.url}/feedback`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ text }),
  })
  await page.goto(`${server.url}/admin`)
  expect(await page.locator('#panels').isVisible()).toBe(false)
  await signIn(page, 'ana', { register: true })
  await page.locator('#panels').waitFor()
  expect(await page.locator('#health').textContent()).toContain('Listo para responder')
  expect(await page.locator('#health').textContent()).toContain('1.2.3')
  expect(await page.locator('#current-model').textContent()).toContain('fake')
  expect(await page.locator('#users li').allTextContents()).toEqual([expect.stringMatching(/^anaadministrador desde /)])
  expect(await page.locator('#feedback .text').textContent()).toBe(text)
  expect(await page.evaluate("getComputedStyle(document.querySelector('#feedback .text')).whiteSpace")).toBe('pre-wrap')
  expect(incidents).toEqual(noIncidents)
})

webTest('who is no admin sees nothing but that', async () => {
  const { page, server } = await openApp({ host: says('x') })
  await server.login('ana')
  await page.goto(`${server.url}/admin`)
  await signIn(page, 'luis', { register: true })
  await page.getByText('You are signed in as luis, who is not an admin.').waitFor()
  expect(await page.locator('#panels').isVisible()).toBe(false)
})

webTest('an admin switches the model', async () => {
  const loaded: string[] = []
  const host = createFakeEngine({
    answer: () => ({ pieces: ['x'] }),
    models: ['fake', 'other'],
    onLoad: (name) => loaded.push(name),
  })
  const { page, server } = await openApp({ host })
  await page.goto(`${server.url}/admin`)
  await signIn(page, 'ana', { register: true })
  await page.getByLabel('Installed models').selectOption('other')
  await page.getByRole('button', { name: 'Switch' }).click()
  await page.getByText('other answers now.').waitFor()
  expect(loaded).toEqual(['fake', 'other'])
})

webTest('signing out closes the panels', async () => {
  const { page, server } = await openApp({ host: says('x') })
  await page.goto(`${server.url}/admin`)
  await signIn(page, 'ana', { register: true })
  await page.locator('#panels').waitFor()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.locator('#panels').waitFor({ state: 'hidden' })
  expect(await page.locator('#users li').count()).toBe(0)
})
