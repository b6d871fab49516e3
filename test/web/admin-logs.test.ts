import { expect } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { noIncidents, signIn } from './browser.ts'
import { openApp, webTest } from './open-app.ts'

const host = createFakeEngine({ answer: () => ({ pieces: ['x'] }) })

type Line = Readonly<{ at: string; level: string; message: string; fields: object }>
const lineOf = (number: number, message = `line ${number}`): Line => ({
  at: new Date(Date.UTC(2026, 2, 1) + number).toISOString(),
  level: 'info',
  message,
  fields: { number },
})
const asEvents = (lines: readonly Line[]) => lines.map((line) => `event: line\ndata: ${JSON.stringify(line)}\n\n`).join('')

async function openLogs(settings: Readonly<Record<string, string>> = {}) {
  const opened = await openApp({ host, settings, logStream: { write() {} } })
  await opened.server.login('ana')
  await opened.page.goto(`${opened.server.url}/admin#/admin/settings`)
  await signIn(opened.page, 'ana')
  const follow = () => opened.page.getByRole('link', { name: 'Logs' }).click()
  return { ...opened, follow, lines: opened.page.locator('.lines .line') }
}

webTest('the log is followed as it is written, held while paused, and searched', async () => {
  const { page, server, follow, lines, incidents } = await openLogs({ LOG_LEVEL: 'info' })
  await follow()
  await page.getByText('Following').waitFor()
  await fetch(`${server.url}/api/version`)
  await lines.filter({ hasText: 'route=/api/version' }).waitFor()
  await page.getByRole('button', { name: 'Pause' }).click()
  await fetch(`${server.url}/rag/documents`)
  await page.getByText('Paused; 1 new lines wait').waitFor()
  expect(await lines.filter({ hasText: '/rag/documents' }).count()).toBe(0)
  await page.getByRole('button', { name: 'Go on' }).click()
  await lines.filter({ hasText: '/rag/documents' }).waitFor()
  await page.getByLabel('Search in what is shown').fill('VERSION')
  await expect.poll(async () => (await lines.allTextContents()).every((text) => text.includes('/version'))).toBe(true)
  expect(await lines.count()).toBeGreaterThan(0)
  expect(incidents).toEqual(noIncidents)
})

webTest('the level is the least that is shown', async () => {
  const { page, follow } = await openLogs({ LOG_LEVEL: 'info' })
  await follow()
  const [request] = await Promise.all([
    page.waitForRequest(/admin\/logs.*level=error/),
    page.getByLabel('From level').selectOption('error'),
  ])
  expect(request.url()).toContain('stream=true')
  await page.getByText('Following').waitFor()
  await page.getByText('No lines yet.').waitFor()
})

webTest('a log that breaks off is taken up again without telling a line twice, and markup in it is text', async () => {
  const { page, follow, lines, incidents } = await openLogs()
  const markup = '<img src=x onerror=alert(1)>'
  const batches = [
    [lineOf(1), lineOf(2, markup)],
    [lineOf(1), lineOf(2, markup), lineOf(3)],
  ]
  let asked = 0
  await page.route('**/admin/logs?*', (route) => {
    const batch = batches[asked] ?? batches.at(-1) ?? []
    asked += 1
    return route.fulfill({ contentType: 'text/event-stream', body: asEvents(batch) })
  })
  await follow()
  await page.getByText('The connection is lost. Trying again…').waitFor()
  await lines.filter({ hasText: 'line 3' }).waitFor()
  expect(await lines.count()).toBe(3)
  expect(await lines.nth(1).textContent()).toContain(markup)
  expect(incidents).toEqual(noIncidents)
})

webTest('who may no longer read the log is asked to sign in, and follows it again', async () => {
  const { page, follow, lines } = await openLogs({ LOG_LEVEL: 'info' })
  await page.route('**/admin/logs?*', (route) =>
    route.fulfill({ status: 401, json: { error: { code: 'unauthorized', message: 'The session has ended.' } } }),
  )
  await follow()
  await page.locator('dialog').waitFor()
  await page.unroute('**/admin/logs?*')
  await signIn(page, 'ana')
  await page.getByText('Following').waitFor()
  await lines.first().waitFor()
})

webTest('the page holds a thousand lines, of which the newest is in sight', async () => {
  const { page, follow, lines } = await openLogs()
  const many = Array.from({ length: 2500 }, (_, number) => lineOf(number))
  await page.route('**/admin/logs?*', (route) => route.fulfill({ contentType: 'text/event-stream', body: asEvents(many) }))
  await follow()
  await lines.filter({ hasText: 'line 2499' }).waitFor()
  expect(await lines.count()).toBe(1000)
  const box = await page.locator('.lines').boundingBox()
  const newest = await lines.last().boundingBox()
  expect(newest?.y).toBeGreaterThan(box?.y ?? 0)
  expect(newest?.y).toBeLessThan((box?.y ?? 0) + (box?.height ?? 0))
})
