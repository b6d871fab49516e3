import { readFile } from 'node:fs/promises'
import type { Download, Page } from 'playwright-core'
import { expect } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import type { StartOptions } from '../server.ts'
import { expectAccessible } from './accessible.ts'
import { noIncidents, signIn } from './browser.ts'
import { openApp, webTest } from './open-app.ts'
import { payloads } from './xss-payloads.ts'

const says = (...pieces: string[]) => createFakeEngine({ answer: () => ({ pieces }) })

/** The administration, with ana in it. */
async function openAdmin(view = '', { context = {}, ...options }: Partial<StartOptions> & { context?: object } = {}) {
  const opened = await openApp({ host: says('x'), ...options }, context)
  await opened.server.login('ana')
  await opened.page.goto(`${opened.server.url}/admin${view === '' ? '' : `#/admin/${view}`}`)
  await signIn(opened.page, 'ana')
  return opened
}

async function textOf(download: Download): Promise<string> {
  return readFile(await download.path(), 'utf8')
}

async function downloadBy(page: Page, click: () => Promise<void>): Promise<Download> {
  const [download] = await Promise.all([page.waitForEvent('download'), click()])
  return download
}

webTest('an admin sees the service now and over time, and who is none sees nothing', async () => {
  const { page, incidents, server } = await openApp({ host: says('x'), version: '1.2.3' }, { locale: 'es' })
  await page.goto(`${server.url}/admin`)
  await page.getByText('Esta página es para administradores.').waitFor()
  await signIn(page, 'ana', { register: true })
  const tiles = page.locator('.tiles')
  await tiles.waitFor()
  expect(await tiles.textContent()).toContain('Versión 1.2.3')
  expect(await tiles.textContent()).toMatch(/Modelo en uso\s*fake\s*listo/)
  await server.predict({ prompt: 'hola' })
  await page.getByRole('button', { name: 'Actualizar' }).click()
  await page.getByRole('img', { name: /^Respuestas: terminadas, último 1/ }).waitFor()
  expect(await page.locator('.charts h3').count()).toBe(12)
  expect(incidents).toEqual(noIncidents)

  await page.getByRole('button', { name: 'Salir' }).click()
  await page.getByRole('button', { name: 'Entrar' }).waitFor()
  await page.goto(`${server.url}/admin`)
  await signIn(page, 'luis', { register: true })
  await page.getByText('Esta página es para administradores.').waitFor()
  expect(await page.locator('.tiles').count()).toBe(0)
})

webTest('each chart is a table and a file, too, and all are one file of the range that is shown', async () => {
  const { page, server } = await openAdmin()
  await server.predict({ prompt: 'hello' })
  await page.getByRole('button', { name: 'Refresh' }).click()
  const answers = page.locator('.charts .card', { has: page.getByRole('heading', { name: 'Answers', exact: true }) })
  await answers.getByRole('img', { name: /finished last 1/ }).waitFor()
  await answers.getByText('As a table').click()
  expect(await answers.locator('tbody tr').last().locator('td').first().textContent()).toBe('1')
  const one = await textOf(await downloadBy(page, () => page.getByRole('button', { name: 'Download “Answers” as CSV' }).click()))
  expect(one.split('\r\n')[0]).toBe('Time,finished,failed')
  expect(one.trimEnd().split('\r\n').at(-1)).toMatch(/^\d{4}-\d\d-\d\dT.*Z,1,0$/)

  const file = await downloadBy(page, () => page.getByRole('link', { name: 'Download all as CSV' }).click())
  expect(file.suggestedFilename()).toMatch(/\.csv$/)
  const [head = '', ...lines] = (await textOf(file)).trimEnd().split('\r\n')
  expect(head).toContain('at,seconds,requests,status_2xx')
  expect(lines).toHaveLength(await answers.locator('tbody tr').count())
})

webTest('a range is an address: by its name, or between two times of which the first is the earlier', async () => {
  const { page } = await openAdmin()
  await page.locator('.charts').waitFor()
  await page.getByRole('link', { name: 'Week' }).click()
  await expect.poll(() => page.url()).toContain('#/admin/overview/week')
  await page.getByText('one point: 2 hr').waitFor()
  await page.reload()
  await page.getByText('one point: 2 hr').waitFor()
  expect(await page.getByRole('link', { name: 'Week' }).getAttribute('aria-current')).toBe('true')
  // The way back from another part leads to the same range.
  await page.getByRole('link', { name: 'Settings' }).click()
  await page.getByRole('link', { name: 'Overview' }).click()
  await expect.poll(() => page.url()).toContain('overview/week')

  await page.getByRole('button', { name: 'From … until …' }).click()
  await page.getByLabel('From', { exact: true }).fill('2026-03-02T00:00')
  await page.getByLabel('Until').fill('2026-03-01T00:00')
  await page.getByRole('button', { name: 'Show', exact: true }).click()
  await page.getByText('The beginning must come before the end.').waitFor()
  await page.getByLabel('Until').fill('2026-03-04T00:00')
  await page.getByRole('button', { name: 'Show', exact: true }).click()
  await page.getByText(/Mar 2, 00:00:00 – Mar 4, 00:00:00/).waitFor()
})

webTest('what cannot be read wipes nothing, and what comes later takes its place', async () => {
  const { page, server } = await openAdmin()
  await page.locator('.tiles').waitFor()
  await page.route('**/admin/overview', (route) => route.abort())
  await page.getByRole('button', { name: 'Refresh' }).click()
  await page.getByText('The service does not answer. Is it still running?').waitFor()
  await page.getByText('What was read before stays shown.').waitFor()
  expect(await page.locator('.tiles').isVisible()).toBe(true)
  await page.unroute('**/admin/overview')
  await server.login('luis')
  await page.getByRole('button', { name: 'Try again' }).click()
  await page.locator('.failure').waitFor({ state: 'detached' })
  expect(await page.locator('.count').first().textContent()).toMatch(/2\s*Users/)
})

webTest('the page reads anew every half minute, unless it is paused', async () => {
  const { page, server } = await openApp({ host: says('x') })
  await server.login('ana')
  await page.clock.install()
  await page.goto(`${server.url}/admin`)
  await signIn(page, 'ana')
  await page.locator('.tiles').waitFor()
  let reads = 0
  page.on('request', (request) => {
    if (request.url().endsWith('/admin/overview')) reads += 1
  })
  await page.clock.runFor(30_000)
  await expect.poll(() => reads).toBe(1)
  await page.getByRole('button', { name: 'Pause' }).click()
  await page.clock.runFor(95_000)
  expect(reads).toBe(1)
  // What is older than that is read at once.
  await page.getByRole('button', { name: 'Go on' }).click()
  await expect.poll(() => reads).toBe(2)
})

webTest('an admin adds a user, limits them, makes them an admin and deletes them, by keyboard alone', async () => {
  const { page, incidents } = await openAdmin('users')
  const row = page.getByRole('row', { name: /luis/ })
  await page.getByRole('button', { name: 'Add a user' }).press('Enter')
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Username').fill('ana')
  await dialog.getByLabel('First password').fill('a long enough one')
  await dialog.getByLabel('First password').press('Enter')
  await dialog.getByText('This username is taken.').waitFor()
  await dialog.getByLabel('Username').fill('luis')
  await dialog.getByLabel('Username').press('Enter')
  await row.waitFor()

  await row.getByRole('button', { name: /Change the allowance/ }).press('Enter')
  await dialog.getByLabel('Requests').fill('20')
  await dialog.getByLabel('Cost in US dollars').fill('0.5')
  await dialog.getByLabel('Requests').press('Enter')
  await dialog.waitFor({ state: 'detached' })
  expect(await row.textContent()).toContain('20 requests, $0.50')

  await row.getByLabel('Role of luis').selectOption('admin')
  await dialog.getByRole('button', { name: 'Cancel' }).press('Enter')
  expect(await row.getByLabel('Role of luis').inputValue()).toBe('user')
  await row.getByLabel('Role of luis').selectOption('admin')
  await dialog.getByRole('button', { name: 'Change' }).press('Enter')
  await expect.poll(() => row.getByLabel('Role of luis').inputValue()).toBe('admin')

  await row.getByRole('button', { name: 'Delete luis' }).press('Enter')
  await dialog.getByRole('button', { name: 'Delete' }).press('Enter')
  await row.waitFor({ state: 'detached' })
  await page.getByText('luis was deleted.').waitFor()
  expect(await page.evaluate('document.activeElement.textContent')).toBe('Users')
  expect(incidents).toEqual(noIncidents)
})

webTest('the last admin stays, and says so; who gives the page away leaves it', async () => {
  const { page, server } = await openAdmin('users')
  const dialog = page.getByRole('dialog')
  await page.getByRole('button', { name: 'Delete ana' }).click()
  await dialog.getByText('This is your own account').waitFor()
  await dialog.getByRole('button', { name: 'Delete' }).click()
  await dialog.getByText('This is the last admin.').waitFor()
  await dialog.getByRole('button', { name: 'Cancel' }).click()

  await server.login('luis')
  await page.reload()
  await page.getByLabel('Role of luis').selectOption('admin')
  await dialog.getByRole('button', { name: 'Change' }).click()
  await expect.poll(() => page.getByLabel('Role of luis').inputValue()).toBe('admin')
  await page.getByLabel('Role of ana').selectOption('user')
  await dialog.getByRole('button', { name: 'Change' }).click()
  await page.getByText('This page is for admins.').waitFor()
})

webTest('an admin ends all sessions of a user, after a question, and at last their own, by keyboard alone', async () => {
  const { page, server } = await openAdmin('users', { context: { locale: 'es' } })
  const authorization = `Bearer ${await server.login('luis')}`
  const statusOfLuis = async () => (await fetch(`${server.url}/auth/me`, { headers: { authorization } })).status
  await page.reload()
  const dialog = page.getByRole('dialog')
  const ask = (name: string) => page.getByRole('button', { name: `Cerrar todas las sesiones de ${name}` }).press('Enter')
  await ask('luis')
  await dialog.getByText('luis tendrá que volver a entrar').waitFor()
  await expectAccessible(page, 'the question')
  await dialog.getByRole('button', { name: 'Cancelar' }).press('Enter')
  expect(await statusOfLuis()).toBe(200)
  await ask('luis')
  await dialog.getByRole('button', { name: 'Cerrarlas' }).press('Enter')
  await page.getByText('Se cerraron todas las sesiones de luis.').waitFor()
  expect(await statusOfLuis()).toBe(401)
  await ask('ana')
  await dialog.getByText('Son las tuyas, también esta').waitFor()
  await dialog.getByRole('button', { name: 'Cerrarlas' }).press('Enter')
  await page.getByText('Esta página es para administradores.').waitFor()
})

webTest(
  'users come in pages',
  async () => {
    const { page, server } = await openAdmin('settings')
    const authorization = `Bearer ${await server.login('ana')}`
    for (let index = 0; index < 51; index += 1)
      await fetch(`${server.url}/admin/users`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: JSON.stringify({ username: `user-${index}`, password: 'a long enough one' }),
      })
    await page.getByRole('link', { name: 'Users' }).click()
    const rows = page.locator('tbody tr')
    await expect.poll(() => rows.count()).toBe(50)
    await page.getByRole('button', { name: 'Show more' }).click()
    await expect.poll(() => rows.count()).toBe(52)
    expect(await page.getByRole('button', { name: 'Show more' }).count()).toBe(0)
  },
  120_000,
)

webTest('the keys of all users are listed with what they used, and go', async () => {
  const { page, server } = await openAdmin('keys')
  await page.getByText('There are no API keys.').waitFor()
  const authorization = `Bearer ${await server.login('luis')}`
  const name = payloads[1] ?? ''
  const answer = await fetch(`${server.url}/auth/keys`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body: JSON.stringify({ name, quota: { requests_per_day: 5 } }),
  })
  const { key } = JSON.parse(await answer.text())
  await server.predict({ prompt: 'hello' }, { authorization: `Bearer ${key}` })
  await page.reload()
  const row = page.locator('tbody tr')
  await row.waitFor()
  const shown = await row.textContent()
  for (const part of [name, 'luis', 'inference', '1 requests', '5 requests']) expect(shown).toContain(part)
  await row.getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await row.waitFor({ state: 'detached' })
  expect((await server.predict({ prompt: 'again' }, { authorization: `Bearer ${key}` })).status).toBe(401)
})

webTest('the audit says who did what, can be filtered, and is a file', async () => {
  const { page, server } = await openAdmin('audit')
  await fetch(`${server.url}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'ana', password: 'a wrong password' }),
  })
  const authorization = `Bearer ${await server.login('ana')}`
  await fetch(`${server.url}/admin/reload`, { method: 'POST', headers: { authorization } })
  await page.reload()
  const rows = page.locator('tbody tr')
  await rows.filter({ hasText: 'reload' }).waitFor()
  expect(await rows.filter({ hasText: 'refused' }).filter({ hasText: 'login' }).count()).toBe(1)
  await page.getByLabel('Action').fill('login')
  await page.getByRole('button', { name: 'Filter' }).click()
  await rows.filter({ hasText: 'reload' }).waitFor({ state: 'detached' })
  const csv = await textOf(await downloadBy(page, () => page.getByRole('link', { name: 'Download as CSV' }).click()))
  expect(csv.trimEnd().split('\r\n')).toHaveLength((await rows.count()) + 1)
  expect(csv).toContain('refused')
  expect(csv).not.toContain('reload')
  await page.getByLabel('Action').fill('nothing')
  await page.getByRole('button', { name: 'Filter' }).click()
  await page.getByText('Nothing fits these filters.').waitFor()
  await page.getByRole('button', { name: 'Clear' }).click()
  await rows.filter({ hasText: 'reload' }).waitFor()
})

webTest('feedback is shown as it was typed, filtered, and exported', async () => {
  const { page, server, incidents } = await openAdmin('settings', { context: { locale: 'es' } })
  const text = '  Está «bien» & <b>claro</b>\nsegunda línea 👍 '
  const post = (body: object) =>
    fetch(`${server.url}/feedback`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  await post({ text, tags: payloads.filter(({ length }) => length <= 50).slice(0, 20) })
  await post({
    prediction_id: 'one',
    rejected_prediction_id: '<b>other</b>',
    rating: 'up',
    correction: '<img src=x onerror=alert(1)>',
  })
  await page.getByRole('link', { name: 'Opiniones', exact: true }).click()
  const items = page.locator('.items li')
  await expect.poll(() => items.count()).toBe(2)
  expect(await items.first().locator('.correction').textContent()).toBe('<img src=x onerror=alert(1)>')
  expect(await items.first().textContent()).toContain('elegida frente a <b>other</b>')
  expect(await items.last().locator('.said').textContent()).toBe(text)
  expect(await page.evaluate("getComputedStyle(document.querySelector('.said')).whiteSpace")).toBe('pre-wrap')
  expect(await items.last().locator('.tag').allTextContents()).toHaveLength(20)
  await page.getByLabel('Valoración').selectOption('up')
  await page.getByRole('button', { name: 'Filtrar' }).click()
  await expect.poll(() => items.count()).toBe(1)
  const jsonl = await textOf(await downloadBy(page, () => page.getByRole('link', { name: 'Exportar en JSONL' }).click()))
  expect(
    jsonl
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).prediction_id),
  ).toEqual(['one'])
  expect(incidents).toEqual(noIncidents)
})

webTest('the configuration is read again, and a fault in it is told and changes nothing', async () => {
  const { page } = await openAdmin('settings')
  await page.getByRole('button', { name: 'Reload the configuration' }).click()
  await page.getByText('Done. fake answers.').waitFor()
  expect(await page.locator('tbody tr').first().textContent()).toContain('in use')
  await page.route('**/admin/reload', (route) =>
    route.fulfill({ status: 400, json: { error: { code: 'invalid', message: '"model_name" is wrong.' } } }),
  )
  await page.getByRole('button', { name: 'Reload the configuration' }).click()
  await page.getByText('The service says: "model_name" is wrong.').waitFor()
  expect(await page.getByRole('link', { name: 'The API, with all its routes' }).getAttribute('href')).toBe('/docs')
})
