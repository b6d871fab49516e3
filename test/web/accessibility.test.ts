import type { Page } from 'playwright-core'
import { describe, expect } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { expectAccessible } from './accessible.ts'
import { openFilledApp } from './filled-app.ts'
import { openApp, webTest } from './open-app.ts'

const long =
  '| a | b |\n|---|---|\n| 1 | 2 |\n\n```js\nconst a = 1 // one\n```\n\n$$x^2$$ and [a link](https://simple.example), `code`\n\n1. one\n2. two\n\n> said'
const filling = {
  names: ['museum', 'bread', 'glass'],
  texts: ['When does it open?', long, 'It opens at ten.'],
}
const sizes = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } } as const
const kinds = [
  ['wide', 'en'],
  ['phone', 'es'],
] as const

async function settle(page: Page): Promise<void> {
  await page.locator('h1').first().waitFor()
  await expect.poll(() => page.getByText(/^(Loading|Cargando)…$/).count(), { timeout: 10_000 }).toBe(0)
}

describe.each(kinds)('%s, %s', (size, locale) => {
  const context = { viewport: sizes[size], locale, reducedMotion: 'reduce' } as const

  webTest('every place with something in it', async () => {
    const { page, url, places } = await openFilledApp(filling, context)
    for (const [place, address] of Object.entries(places)) {
      await page.goto(`${url}${address}`)
      await settle(page)
      await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
      await expectAccessible(page, place)
      expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), place).toBe(0)
    }
  })

  webTest('every place without anything in it, for an admin and for who is none', async () => {
    const { page, server } = await openApp({ host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }) }, context)
    await server.login('root')
    const places = ['', 'documents', 'documents/new', 'documents/none', 'models', 'training', 'training/runs', 'admin', 'c/none']
    for (const place of places) {
      await page.goto(`${server.url}/#/${place}`)
      await settle(page)
      if (place === 'admin') {
        await expectAccessible(page, 'sign in')
        await page.keyboard.press('Escape')
      }
      await expectAccessible(page, `${place}, signed out`)
    }
    await page.request.post(`${server.url}/auth/login`, { data: { username: 'root', password: 'root-has-a-long-password' } })
    await page.goto(`${server.url}/#/`)
    await page.reload()
    const training = ['datasets', 'datasets/new', 'runs/new', 'evaluations', 'evaluations/new', 'rollouts', 'rollouts/new']
    const admin = ['keys', 'egress', 'feedback', 'nothing']
    for (const place of [...places, ...training.map((one) => `training/${one}`), ...admin.map((one) => `admin/${one}`)]) {
      await page.goto(`${server.url}/#/${place}`)
      await settle(page)
      await expectAccessible(page, `${place}, empty`)
    }
  })
})
