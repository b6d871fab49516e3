import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { createLedger } from '../../src/egress/ledger.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { noIncidents, signIn } from './browser.ts'
import { openApp, webTest } from './open-app.ts'
import { payloads } from './xss-payloads.ts'

const host = createFakeEngine({ answer: () => ({ pieces: ['x'] }) })

webTest('an admin sees what left the machine; names of hosts, models and users are text, whatever they hold', async () => {
  const { page, incidents, server } = await openApp({ host }, { locale: 'es' })
  const storage = await openStorage({ url: await databaseAt(join(server.dataDir, 'simpleia.db')) })
  for (const [index, payload] of [...payloads, ...payloads].entries()) {
    await createLedger(storage).record({
      id: String(index),
      startedAt: Date.UTC(2026, 2, 1) - index,
      purpose: index === 1 ? 'probe' : 'answer',
      user: payload,
      provider: payload,
      model: payload,
      hosts: [payload],
      requests: 1,
      status: 200,
      bytesOut: 1000,
      bytesIn: 3_000_000,
      usage: undefined,
      costMicrodollars: 500,
      durationMs: 1,
    })
  }
  await storage.close()
  await page.goto(`${server.url}/admin#/admin/egress`)
  await signIn(page, 'ana', { register: true })
  const rows = page.locator('tbody tr')
  await expect.poll(() => rows.count()).toBe(50)
  const [first = '', second = ''] = payloads
  expect(await rows.first().locator('td').allTextContents()).toEqual([
    expect.stringContaining('2026'),
    'respuesta',
    first,
    `${first} · ${first}`,
    first,
    '200',
    '1 kB',
    '3 MB',
    expect.stringContaining('0,0005'),
  ])
  expect(await page.locator('dl.facts').first().textContent()).toMatch(/Salidas\s*60/)
  await page.getByRole('button', { name: 'Mostrar más' }).click()
  await expect.poll(() => rows.count()).toBe(60)
  expect(await rows.locator('td:nth-child(3)').allTextContents()).toEqual([...payloads, ...payloads])

  await page.getByLabel('Fin').selectOption('probe')
  await page.getByLabel('Servidor').fill(second)
  await page.getByRole('button', { name: 'Filtrar' }).click()
  await expect.poll(() => rows.count()).toBe(1)
  expect(await page.locator('dl.facts').first().textContent()).toMatch(/Salidas\s*1\s/)
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Descargar en CSV' }).click(),
  ])
  const lines = (await readFile(await download.path(), 'utf8')).trimEnd().split('\r\n')
  expect(lines).toHaveLength(2)
  expect(lines[1]).toContain(second)
  expect(incidents).toEqual(noIncidents)
})

webTest('where nothing may leave, the ledger says so', async () => {
  const { page, server } = await openApp({ host, settings: { LOCAL_ONLY: 'true' } })
  await page.goto(`${server.url}/admin#/admin/egress`)
  await signIn(page, 'ana', { register: true })
  await page.getByText('LOCAL_ONLY is true: nothing leaves this machine.').waitFor()
  await page.getByText('Nothing so far.').waitFor()
})
