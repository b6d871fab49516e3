import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Page } from 'playwright-core'
import { expect, onTestFinished } from 'vitest'
import { createFakeEngine, type Script } from '../fake-engine.ts'
import { ask, noIncidents, signIn } from './browser.ts'
import { createEcho } from './echo.ts'
import { openAt, webTest } from './open-app.ts'
import { openThrough } from './open-through.ts'
import { openUnsteadyProxy } from './unsteady-proxy.ts'

const count = (words: number) => Array.from({ length: words }, (_, at) => `w${at} `)
const counted = (words: number) => count(words).join('').trim()
const writes = (pieces: Script['pieces'], pauseMs = 10) => createFakeEngine({ answer: () => ({ pieces }), pauseMs })

async function begin(page: Page, question = 'Go on!') {
  await page.locator('#question').fill(question)
  await page.locator('#question').press('Enter')
}

/** Within a time that a busy machine needs, too. */
const soon = <Value>(read: () => Value) => expect.poll(read, { timeout: 20_000 })
const lost = (page: Page) => page.getByText('The connection was lost. Trying to get back to the answer…')
const answers = (page: Page) => page.locator('.answer .content')
const ended = (page: Page) => page.locator('.answer').last().locator('.facts').waitFor()

webTest('an answer that comes one byte at a time is shown as it was written, whatever the bytes cut in two', async () => {
  const text = 'Aquí está: niño, 😀👩‍👩‍👧, 日本語.\n\nLine two: data: not an event\r\n\r\n- ü\n- €'
  const { page, way, incidents } = await openThrough({ host: writes(Array.from(text), 0) })
  way.set('trickle')
  await begin(page, '¿Qué? 😀')
  await ended(page)
  expect(await answers(page).allInnerTexts()).toEqual([
    'Aquí está: niño, 😀👩‍👩‍👧, 日本語.\n\nLine two: data: not an event\n\nü\n€',
  ])
  expect(await page.locator('.asked .text').textContent()).toBe('¿Qué? 😀')
  expect(incidents).toEqual(noIncidents)
})

webTest('the page itself comes one byte at a time', async () => {
  const { page, way, server } = await openThrough({ host: createEcho() })
  way.set('trickle')
  await page.goto(`${way.url}/?again`)
  await page.getByText('Ask your own machine.').waitFor()
  way.set('pass')
  await ask(page, 'Slowly?')
  expect(await answers(page).textContent()).toBe('Slowly?')
  expect(server.url).not.toBe(way.url)
})

webTest('after a connection that is lost in the middle of an answer the whole of it is shown, once', async () => {
  const { page, way, incidents } = await openThrough({ host: writes(count(300)) })
  const tries: number[] = []
  page.on('request', (request) => {
    if (request.url().endsWith('/events')) tries.push(performance.now())
  })
  await begin(page)
  await answers(page).getByText('w20 ').waitFor()
  way.set('down')
  await lost(page).waitFor()
  expect(await page.locator('.answer').getAttribute('aria-busy')).toBe('true')
  await soon(() => tries.length).toBe(4)
  const pauses = tries.slice(1).map((at, index) => at - (tries[index] ?? 0))
  expect(pauses.slice(1)).toEqual(pauses.slice(1).toSorted((one, other) => one - other))
  way.set('pass')
  await ended(page)
  await lost(page).waitFor({ state: 'detached' })
  await soon(() => answers(page).textContent()).toBe(counted(300))
  expect(incidents).toEqual(noIncidents)
})

webTest('a connection that says nothing any more is given up, and the answer is rejoined', async () => {
  const { page, way } = await openThrough({ host: writes(count(200)) })
  await page.clock.install()
  await begin(page)
  await page.clock.runFor(200)
  await soon(() => answers(page).count()).toBe(1)
  way.set('silent')
  await page.clock.runFor(41_000)
  await lost(page).waitFor()
  way.set('pass')
  const later = async () => {
    await page.clock.runFor(500)
    return answers(page).textContent()
  }
  await soon(later).toBe(counted(200))
})

webTest('what comes in one burst, as through a proxy that keeps it together, is shown whole', async () => {
  const host = writes(count(200))
  const { page, way } = await openThrough({ host })
  await begin(page)
  await answers(page).getByText('w3 ').waitFor()
  way.set('hold')
  await soon(() => host.status().active).toBe(0)
  expect(await page.locator('.answer').getAttribute('aria-busy')).toBe('true')
  way.set('pass')
  await ended(page)
  expect(await answers(page).textContent()).toBe(counted(200))
})

webTest('a question that is asked while nobody answers stays, and is asked once when it is tried again', async () => {
  const { page, way } = await openThrough({ host: createEcho() })
  await ask(page, 'before')
  way.set('down')
  await ask(page, 'Do not lose me')
  const turn = page.locator('.asked').last()
  expect(await turn.locator('.error').textContent()).toContain('The service does not answer.')
  await turn.getByRole('button', { name: 'Try again' }).click()
  await turn.locator('.error').waitFor()
  way.set('pass')
  await turn.getByRole('button', { name: 'Try again' }).click()
  await soon(() => answers(page).allTextContents()).toEqual(['before', 'Do not lose me'])
})

webTest('a question whose answer was lost on the way back is not asked twice', async () => {
  const { page, way } = await openThrough({ host: createEcho() })
  await ask(page, 'before')
  way.set('hold')
  const sent = page.waitForRequest((request) => request.method() === 'POST' && request.url().endsWith('/answers'))
  await begin(page, 'Once, please')
  await sent
  await soon(() => page.getByText('Sending…').count()).toBe(1)
  way.set('down')
  const turn = page.locator('.asked').last()
  await turn.locator('.error').waitFor()
  way.set('pass')
  await turn.getByRole('button', { name: 'Try again' }).click()
  await soon(() => answers(page).allTextContents()).toEqual(['before', 'Once, please'])
  await page.reload()
  await soon(() => answers(page).allTextContents()).toEqual(['before', 'Once, please'])
  expect(await page.locator('.versions').count()).toBe(0)
})

/** The service in a process that can be killed, on data that stay. */
async function openMortal() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-mortal-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const start = async () => {
    const settings = { MODELS_DIR: join(folder, 'models'), CONFIG_FILE: join(folder, 'config.json'), LOG_LEVEL: 'silent' }
    const environment = { ...process.env, ...settings, DATA_DIR: folder, RATE_LIMIT_REQUESTS: '1000' }
    const child = spawn(process.execPath, ['test/web/mortal-service.ts'], {
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exit = once(child, 'exit')
    const kill = async () => {
      child.kill('SIGKILL')
      await exit
    }
    onTestFinished(kill)
    const [port] = await once(createInterface({ input: child.stdout }), 'line')
    return { port: Number(port), kill }
  }
  const first = await start()
  const way = await openUnsteadyProxy(first.port)
  return { way, start, kill: first.kill }
}

webTest(
  'an answer that its service did not survive is kept as far as it came, says so, and the conversation goes on',
  async () => {
    const { way, start, kill } = await openMortal()
    const { page, incidents } = await openAt(way.url)
    await begin(page)
    // What is written is kept about once a second.
    await answers(page).getByText('w150 ').waitFor()
    await kill()
    await lost(page).waitFor()
    way.leadTo((await start()).port)
    await page.locator('.facts').getByText('interrupted, as the service ended meanwhile').waitFor({ timeout: 20_000 })
    await lost(page).waitFor({ state: 'detached' })
    expect(await answers(page).textContent()).toMatch(/^w0 w1 w2 .*w\d+$/)
    await begin(page, 'Now briefly')
    await soon(() => answers(page).last().textContent()).toBe('Briefly.')
    await page.reload()
    await page.locator('.facts').getByText('interrupted').waitFor()
    expect(await page.locator('.asked .text').allTextContents()).toEqual(['Go on!', 'Now briefly'])
    expect(incidents).toEqual(noIncidents)
  },
)

/** Another tab at the same address. */
async function openTab(page: Page): Promise<Page> {
  const tab = await page.context().newPage()
  await tab.addInitScript(() => sessionStorage.setItem('looks-around', 'yes'))
  await tab.goto(page.url())
  return tab
}

const asked = (page: Page) => page.locator('.asked .text').allTextContents()

webTest('two tabs on one conversation show the same after a while, and follow one answer together', async () => {
  const { page, way, incidents } = await openThrough({ host: writes(count(150)) })
  await ask(page, 'one')
  const other = await openTab(page)
  await soon(() => asked(other)).toEqual(['one'])
  await begin(page, 'two')
  await answers(page).nth(1).getByText('w3 ').waitFor()
  await other.locator('.answer[aria-busy=true]').waitFor()
  await other.locator('#stop').click()
  for (const tab of [page, other]) await tab.locator('.facts').getByText('stopped').waitFor()
  const stopped = await answers(page).nth(1).textContent()
  expect(await answers(other).nth(1).textContent()).toBe(stopped)
  await other.locator('.answer').last().getByRole('button', { name: 'Answer again' }).click()
  await page.locator('.versions').getByText('2/2').waitFor()
  for (const tab of [page, other]) {
    await ended(tab)
    await soon(() => answers(tab).allTextContents()).toEqual([counted(150), counted(150)])
  }
  expect(way.url).toBe(new URL(page.url()).origin)
  expect(incidents).toEqual(noIncidents)
})

webTest(
  'an answer goes on while another conversation is shown, while the page is loaded again, and when its tab is closed',
  async () => {
    const { page, way } = await openThrough({ host: writes(count(250)) })
    await begin(page)
    await answers(page).getByText('w10 ').waitFor()
    const address = page.url()
    await page.locator('#new').click()
    await page.getByText('Ask your own machine.').waitFor()
    await page.goBack()
    await page.locator('.answer[aria-busy=true]').getByText('w15 ').waitFor()
    await page.reload()
    await page.locator('.answer[aria-busy=true]').getByText('w20 ').waitFor()
    const next = await openTab(page)
    await page.close()
    await ended(next)
    expect(await answers(next).allTextContents()).toEqual([counted(250)])
    expect(await asked(next)).toEqual(['Go on!'])
    expect(way.url).toBe(new URL(address).origin)
  },
)

webTest('what was typed and not sent is there after the page was loaded again, and not for the next person', async () => {
  const { page } = await openThrough({ host: createEcho() })
  await page.locator('#question').fill('half a thou')
  await page.reload()
  await soon(() => page.locator('#question').inputValue()).toBe('half a thou')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await signIn(page, 'ana', { register: true })
  expect(await page.locator('#question').inputValue()).toBe('half a thou')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  await soon(() => page.locator('#question').inputValue()).toBe('')
})

for (const anonymous of ['true', 'false'])
  webTest(
    `a session that has ended is asked for again, and nothing that was typed is lost (visitors: ${anonymous})`,
    async () => {
      const { page, server, incidents } = await openThrough({ host: createEcho(), settings: { ALLOW_ANONYMOUS: anonymous } })
      if (anonymous === 'true') await page.getByRole('button', { name: 'Sign in' }).click()
      await signIn(page, 'ana', { register: true })
      await ask(page, 'before')
      await page.locator('#question').fill('typed meanwhile')
      const credentials = { data: { username: 'ana', password: 'ana-has-a-long-password' } }
      // Elsewhere: a change of the password ends all sessions.
      const token = await server.login('ana')
      const changed = await fetch(`${server.url}/auth/password`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ current_password: credentials.data.password, new_password: 'ana-has-a-new-password' }),
      })
      expect(changed.status).toBe(204)
      await page.locator('#question').press('Enter')
      const dialog = page.locator('dialog[open]')
      await dialog.waitFor()
      expect(await page.getByText('before').count()).toBeGreaterThan(0)
      await dialog.locator('#username').fill('ana')
      await dialog.locator('#password').fill('ana-has-a-new-password')
      await dialog.locator('button.main').click()
      await dialog.waitFor({ state: 'hidden' })
      await soon(() => page.locator('#question').inputValue()).toBe('typed meanwhile')
      await soon(() => asked(page)).toEqual(['before'])
      await page.locator('#question').press('Enter')
      await soon(() => answers(page).allTextContents()).toEqual(['before', 'typed meanwhile'])
      expect(incidents).toEqual(noIncidents)
    },
  )

webTest('a page that cannot learn who is signed in says so, and goes on by itself', async () => {
  const { page, way } = await openThrough({ host: createEcho() })
  await page.route('**/auth/*', (route) => route.abort())
  await page.goto(`${way.url}/?again`)
  await page.getByText('The service does not answer. Is it still running?').waitFor()
  await page.unroute('**/auth/*')
  await page.getByText('Ask your own machine.').waitFor()
})
