import { join } from 'node:path'
import { expect } from 'vitest'
import { createLedger } from '../../src/egress/ledger.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { noIncidents, signIn } from './browser.ts'
import { openApp, webTest } from './open-app.ts'
import { payloads } from './xss-payloads.ts'

webTest('an admin sees what left the machine; names of hosts, models and users are text, whatever they hold', async () => {
  const host = createFakeEngine({ answer: () => ({ pieces: ['x'] }) })
  const { page, incidents, server } = await openApp({ host }, { locale: 'es' })
  const storage = await openStorage({ path: join(server.dataDir, 'simpleia.db') })
  for (const [index, payload] of payloads.entries()) {
    await createLedger(storage).record({
      id: String(index),
      startedAt: Date.UTC(2026, 2, 1) - index,
      purpose: 'answer',
      user: payload,
      provider: payload,
      model: payload,
      hosts: [payload],
      requests: 1,
      status: 200,
      bytesOut: 1024,
      bytesIn: 3 * 1024 * 1024,
      usage: undefined,
      costMicrodollars: 500,
      durationMs: 1,
    })
  }
  await storage.close()
  await page.goto(`${server.url}/admin`)
  await signIn(page, 'ana', { register: true })
  await page.locator('#egress li').first().waitFor()
  const shown = await page.locator('#egress .text').allTextContents()
  expect(shown).toEqual(payloads.slice(0, 20).map((payload) => `answer · ${payload} · ${payload} → ${payload}`))
  expect(await page.locator('#egress li .quiet').first().textContent()).toContain('1.0 KB enviados, 3.0 MB recibidos')
  expect(await page.locator('#egress-totals').textContent()).toContain(`${payloads.length} salidas`)
  expect(incidents).toEqual(noIncidents)
})
