import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { startHub } from '../hub.ts'
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

webTest('an admin downloads a model from the hub, sees it come, and stops one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-models-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  let isSlow = false
  const { endpoint } = await startHub({
    repositories: {
      'acme/small-GGUF': { 'small-Q4_K_M.gguf': Buffer.from('GGUF small') },
      'acme/slow-GGUF': { 'slow-Q4_K_M.gguf': Buffer.from('GGUF slow') },
    },
    // Says nothing more: the download is under way until somebody stops it.
    fault: ({ kind }) => isSlow && kind === 'cdn',
  })
  const { page, server, incidents } = await openApp({ host: says('x'), settings: { MODELS_DIR: folder, HF_ENDPOINT: endpoint } })
  await page.goto(`${server.url}/admin`)
  await signIn(page, 'ana', { register: true })
  const download = async (name: string) => {
    await page.getByLabel('Download from the hub').fill(name)
    await page.getByRole('button', { name: 'Download' }).click()
  }
  await download('acme/small-GGUF')
  await page.getByText('small-Q4_K_M is installed.').waitFor()
  expect(await readFile(join(folder, 'small-Q4_K_M.gguf'), 'utf8')).toBe('GGUF small')
  await download('acme/nothing')
  await page.locator('#pull-state .error', { hasText: 'acme/nothing' }).waitFor()
  isSlow = true
  await download('acme/slow-GGUF')
  await page.getByRole('button', { name: 'Stop' }).waitFor()
  // It goes on without the page, and the page finds it again.
  await page.reload()
  await page.getByRole('button', { name: 'Stop' }).click()
  await page.getByText('Stopped. What has arrived is kept.').waitFor()
  expect(await page.locator('#pull-progress').isVisible()).toBe(false)
  expect(incidents).toEqual(noIncidents)
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
