import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { expectAccessible } from './accessible.ts'
import { noIncidents, signIn } from './browser.ts'
import { createEcho } from './echo.ts'
import { openApp, webTest } from './open-app.ts'
import { payloads } from './xss-payloads.ts'

async function openAccount(page: Page) {
  await page.getByRole('button', { name: 'Your account: ana' }).click()
  const dialog = page.getByRole('dialog', { name: 'Your account: ana' })
  await dialog.waitFor()
  return dialog
}

async function signUp(page: Page) {
  await page.getByRole('button', { name: 'Sign in' }).click()
  await signIn(page, 'ana', { register: true })
  return openAccount(page)
}

webTest('a key is made, shown once, good for what it may do, and dead when it is deleted', async () => {
  const { page, server, incidents } = await openApp({ host: createEcho(), settings: { ALLOW_ANONYMOUS: 'false' } })
  await signIn(page, 'ana', { register: true })
  let dialog = await openAccount(page)
  const name = payloads[1] ?? ''
  await dialog.getByText('You have none.').waitFor()
  await dialog.getByRole('button', { name: 'New key' }).click()
  await dialog.getByLabel('What it is for').fill(name)
  await dialog.getByLabel('How long it is valid').selectOption('30 days')
  await dialog.getByRole('button', { name: 'Make the key' }).click()
  const key = await dialog.locator('.made input').inputValue()
  const ask = () => server.predict({ prompt: 'User: hi\nAssistant:' }, { authorization: `Bearer ${key}` })
  expect((await ask()).status).toBe(200)
  await dialog.getByRole('button', { name: 'I have it' }).click()
  await page.keyboard.press('Escape')
  dialog = await openAccount(page)
  const item = dialog.locator('li', { hasText: name })
  await item.waitFor()
  expect(await dialog.textContent()).not.toContain(key)
  expect(await item.textContent()).toMatch(/sk-.*Ask models.*until.*last used/s)
  await item.getByRole('button').click()
  await dialog.getByRole('button', { name: 'Delete', exact: true }).click()
  await expect.poll(() => item.count()).toBe(0)
  expect(await page.evaluate('document.activeElement.textContent.trim()')).toBe('New key')
  expect((await ask()).status).toBe(401)
  expect(incidents).toEqual(noIncidents)
})

webTest('what was used today is told', async () => {
  const { page } = await openApp({ host: createEcho(), settings: { USER_REQUESTS_PER_DAY: '50' } })
  const dialog = await signUp(page)
  await dialog.getByText('0 of 50').waitFor()
  await page.keyboard.press('Escape')
  await page.locator('#question').fill('Hello')
  await page.locator('#question').press('Enter')
  await page.locator('#sidebar .row').waitFor()
  await page.locator('#send').waitFor()
  const again = await openAccount(page)
  await again.getByText('1 of 50').waitFor()
})

webTest('a person chooses whether answers are remembered', async () => {
  const { page } = await openApp({ host: createEcho() })
  let dialog = await signUp(page)
  const box = () => dialog.getByRole('checkbox', { name: 'Remember answers to me' })
  expect(await box().isChecked()).toBe(true)
  await box().uncheck()
  await dialog.getByText('are not remembered from now on').waitFor()
  await page.keyboard.press('Escape')
  dialog = await openAccount(page)
  expect(await box().isChecked()).toBe(false)
})

webTest('a password is changed, and the person stays signed in; a wrong one is told', async () => {
  const { page, server } = await openApp({ host: createEcho() })
  const dialog = await signUp(page)
  await dialog.getByLabel('Current password').fill('not the password')
  await dialog.getByLabel('New password').fill('quite another password')
  await dialog.getByRole('button', { name: 'Change the password' }).click()
  await dialog.getByText('This is not the current password.').waitFor()
  await dialog.getByLabel('Current password').fill('ana-has-a-long-password')
  await dialog.getByRole('button', { name: 'Change the password' }).click()
  await dialog.getByText('The password was changed.').waitFor()
  await page.goto(`${server.url}/?again`)
  await page.getByRole('button', { name: 'Your account: ana' }).waitFor()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByLabel('Username').fill('ana')
  await page.getByLabel('Password').fill('quite another password')
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Your account: ana' }).waitFor()
})

webTest(
  'a person sees where they are signed in, ends one session and then all others, and is told in their language what fails',
  async () => {
    const { page, server, incidents } = await openApp({ host: createEcho() }, { locale: 'es' })
    const login = async (agent: string) => {
      const body = JSON.stringify({ username: 'ana', password: 'ana-has-a-long-password' })
      const headers = { 'content-type': 'application/json', 'user-agent': agent }
      const answer = await fetch(`${server.url}/auth/login`, { method: 'POST', headers, body })
      const { access_token: token } = JSON.parse(await answer.text())
      return async () => (await fetch(`${server.url}/auth/me`, { headers: { authorization: `Bearer ${token}` } })).status
    }
    await page.getByRole('button', { name: 'Entrar' }).click()
    await signIn(page, 'ana', { register: true })
    const phone = await login('Mozilla/5.0 (Android 16; Mobile; rv:150.0) Gecko/150.0 Firefox/150.0')
    const others = [await login(payloads[1] ?? ''), await login('curl/8.1')]
    await page.getByRole('button', { name: 'Tu cuenta: ana' }).press('Enter')
    const dialog = page.getByRole('dialog', { name: 'Tu cuenta: ana' })
    const rows = dialog.locator('section', { hasText: 'Dónde tienes la sesión abierta' }).locator('li')
    await expect.poll(() => rows.count()).toBe(4)
    expect(await rows.filter({ hasText: 'aquí' }).textContent()).toMatch(/Chrome, Linux.*desde .*, hasta /s)
    expect(await rows.filter({ hasText: 'aquí' }).getByRole('button').count()).toBe(0)
    await expectAccessible(page, 'sessions')
    await dialog.getByRole('button', { name: 'Cerrar la sesión de Firefox, Android' }).press('Enter')
    await dialog.getByText('Se cerró la sesión de Firefox, Android.').waitFor()
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Dónde tienes la sesión abierta')
    expect([await phone(), await others[0]?.()]).toEqual([401, 200])
    await dialog.getByRole('button', { name: 'Cerrar las demás sesiones' }).press('Enter')
    await dialog.getByText('Se cerraron las demás sesiones.').waitFor()
    expect(await rows.count()).toBe(1)
    expect(await Promise.all(others.map((status) => status()))).toEqual([401, 401])
    await dialog.getByLabel('Contraseña actual').fill('ana-has-a-long-password')
    await dialog.getByLabel('Contraseña nueva').fill('password1')
    await dialog.getByLabel('Contraseña nueva').press('Enter')
    await dialog.getByText('Elige otra contraseña: de al menos 8 caracteres').waitFor()
    await dialog.getByText('El servicio dice (en inglés): This password is easily guessed').waitFor()
    await page.reload()
    await page.getByRole('button', { name: 'Tu cuenta: ana' }).waitFor()
    expect(incidents).toEqual(noIncidents)
  },
)
