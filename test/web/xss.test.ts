import { expect } from 'vitest'
import { bodyOf } from '../server.ts'
import { ask, noIncidents, signIn } from './browser.ts'
import { createEcho } from './echo.ts'
import { openApp, webTest } from './open-app.ts'
import { payloads } from './xss-payloads.ts'

type FeedbackPage = Readonly<{ items: readonly Readonly<{ text: string | null }>[] }>

webTest('markup in questions, answers and feedback is text, in the chat and on the admin page (B66)', async () => {
  const { page, incidents, server } = await openApp({ host: createEcho() })
  for (const [index, payload] of payloads.entries()) {
    await ask(page, payload)
    const turn = page.locator('.turn').nth(index)
    expect(await turn.locator('.asked .text').textContent()).toBe(payload)
    expect(await turn.locator('.answer > .text').textContent()).toBe(payload)
    await turn.locator('.thumb').last().click()
    await turn.locator('.comment textarea').fill(payload)
    await turn.locator('.comment button').click()
    await turn.locator('.comment').waitFor({ state: 'hidden' })
  }

  await page.goto(`${server.url}/admin`)
  await signIn(page, 'ana', { register: true })
  const more = page.locator('#more-feedback')
  await page.locator('#feedback li').first().waitFor()
  for (let shown = 20; await more.isVisible(); shown += 20) {
    await more.click()
    await page.locator(`#feedback li:nth-child(${shown + 1})`).waitFor()
  }
  // Each answer was rated, then commented on; the newest is first.
  expect(await page.locator('#feedback li').count()).toBe(payloads.length * 2)
  expect(await page.locator('#feedback .text').allTextContents()).toEqual(payloads.toReversed())
  expect(await page.evaluate('document.cookie')).toBe('')
  expect(incidents).toEqual(noIncidents)

  const kept = await bodyOf<FeedbackPage>(
    await fetch(`${server.url}/feedback?limit=200`, { headers: { authorization: `Bearer ${await server.login('ana')}` } }),
  )
  expect(kept.items.flatMap(({ text }) => text ?? [])).toEqual(payloads.toReversed())
})

webTest('markup in the names of models is text, and so is what the service says of them (B66)', async () => {
  const echo = createEcho()
  const [first = ''] = payloads
  const info = echo.selected()?.info
  const host = {
    ...echo,
    list: async () => (await echo.list()).flatMap((model) => payloads.map((name) => ({ ...model, name }))),
    selected: () => ({ name: first, info }),
  }
  const { page, incidents, server } = await openApp({ host })
  await page.getByText(first).waitFor()
  await ask(page, 'Who are you?')
  expect(await page.locator('.facts p').textContent()).toContain(first)
  await page.goto(`${server.url}/admin`)
  await signIn(page, 'ana', { register: true })
  await page.locator('#panels').waitFor()
  expect(await page.locator('#current-model dd').first().textContent()).toBe(first)
  const shown = await page.locator('#choice option').allTextContents()
  expect(shown).toEqual([`${first} (in use)`, ...payloads.slice(1)])
  for (const payload of payloads.slice(1, 6)) {
    await page.locator('#choice').selectOption(payload)
    await page.locator('#switch button').click()
    await page.locator('#switch-state .error', { hasText: payload }).waitFor()
  }
  expect(incidents).toEqual(noIncidents)
})

webTest('markup in user names is refused, and shown as text where it is tried (B66)', async () => {
  const { page, incidents, server } = await openApp({ host: createEcho() })
  await server.login('ana')
  for (const username of payloads) {
    const request = { username, password: 'a long enough password' }
    const answer = await fetch(`${server.url}/auth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
    })
    expect(answer.status, username).toBe(400)
  }
  await page.goto(`${server.url}/admin`)
  for (const payload of payloads.filter(({ length }) => length <= 64)) {
    await page.locator('dialog #username').fill(payload)
    await page.locator('dialog #password').fill('a long enough password')
    await page.locator('dialog button.main').click()
    await expect.poll(() => page.locator('dialog .error').count()).toBe(1)
  }
  expect(incidents).toEqual(noIncidents)
})

webTest('the pages allow no script or style but our own files, and no frame', async () => {
  const { server } = await openApp({ host: createEcho() })
  for (const path of ['/', '/admin', '/chat.js']) {
    const { headers, status } = await fetch(`${server.url}${path}`)
    const policy = headers.get('content-security-policy') ?? ''
    expect(status).toBe(200)
    expect(policy).toContain("default-src 'self'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toMatch(/unsafe|\*|https?:/)
    expect(headers.get('x-content-type-options')).toBe('nosniff')
  }
  expect((await fetch(`${server.url}/tsconfig.json`)).status).toBe(404)
})

webTest('the watch sees what it watches for', async () => {
  const { page, incidents } = await openApp({ host: createEcho() })
  await page.evaluate('alert(1)')
  await page.evaluate(`document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(2)>')`)
  await page.evaluate(`document.body.insertAdjacentHTML('beforeend', '<img src="https://evil.example/x.gif">')`)
  await expect.poll(() => incidents.violations).toHaveLength(2)
  expect(incidents.dialogs).toEqual(['1'])
  expect(incidents.foreignRequests).toEqual(['https://evil.example/x.gif'])
})
