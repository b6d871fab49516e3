import { expect } from 'vitest'
import type { ModelHost } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { ask, noIncidents, signIn } from './browser.ts'
import { createEcho } from './echo.ts'
import { openApp, webTest } from './open-app.ts'

const answerText = '.answer .content'
const says = (...pieces: string[]) => createFakeEngine({ answer: () => ({ pieces }) })
/** Writes on and on, with time to look at it. */
/** For what grows with an answer. */
const patience = { timeout: 10_000 }
const writesForEver = () => createFakeEngine({ answer: () => ({ pieces: ['again '], end: false }), pauseMs: 40 })

webTest('an answer is shown as Markdown, its markup as text, and what is known of it', async () => {
  const { page, incidents } = await openApp({
    host: says('Uno,\n', '*dos*', '\n\n<b>tres</b> 😀 ', '&amp; cuatro $x^2$\n\n```js\nlet a = 1\n```'),
  })
  await ask(page, 'Count!')
  expect(await page.locator(`${answerText} p`).allInnerTexts()).toEqual([
    'Uno,\ndos',
    expect.stringContaining('<b>tres</b> 😀 & cuatro'),
  ])
  expect(await page.locator(`${answerText} em`).textContent()).toBe('dos')
  await page.locator(`${answerText} math`).waitFor()
  await page.locator(`${answerText} .hljs-keyword`).waitFor()
  expect(await page.locator('.asked .text').textContent()).toBe('Count!')
  expect(await page.locator('.facts').textContent()).toMatch(/ran on this machine.*tokens/)
  expect(incidents).toEqual(noIncidents)
})

webTest('an answer says that it came from the cloud, and the cloud is not asked for the ways of small models', async () => {
  const claude = createScriptedHost(() => [
    { type: 'text-delta', index: 0, text: 'from afar' },
    { type: 'choice-end', index: 0, reason: 'stop' },
    generationEnd(),
  ])
  const { page } = await openApp({
    host: says('from here'),
    selected: { provider: 'claude', model: 'scripted' },
    readElsewhere: async () => ({ providers: [{ ...claude, name: 'claude', ranOn: 'cloud' }], routes: new Map() }),
  })
  await page.getByText('runs in the cloud: what you write is sent there').waitFor()
  await ask(page, 'Where are you?')
  expect(await page.locator(answerText).textContent()).toBe('from afar')
  expect(await page.locator('.facts').textContent()).toContain('ran in the cloud (claude)')
  expect(claude.asked[0]?.sampling.given).toEqual([])
})

webTest('an answer appears while it is written, and stops when it is told to', async () => {
  const host = writesForEver()
  const { page } = await openApp({ host })
  for (const stop of [() => page.locator('#stop').click(), () => page.keyboard.press('Escape')]) {
    await page.locator('#question').fill('Go on!')
    await page.locator('#question').press('Enter')
    await page.locator('.answer[aria-busy=true]').getByText('again again again').waitFor()
    const answer = page.locator('.answer').last()
    expect(await page.locator('[role=status]').allTextContents()).toContain('An answer is being written.')
    await stop()
    await answer.getByText('stopped').waitFor()
    await expect.poll(() => host.status().active).toBe(0)
    expect(await page.locator('#send').isVisible()).toBe(true)
    expect(await page.locator('[role=status]').allTextContents()).toContain('The answer is finished.')
  }
})

webTest('the model is told the conversation so far, until a new one begins', async () => {
  const prompts: string[] = []
  const host = createFakeEngine({
    answer(prompt) {
      prompts.push(prompt)
      return { pieces: ['fine'] }
    },
  })
  const { page } = await openApp({ host })
  await ask(page, 'first')
  await ask(page, 'second')
  expect(prompts.at(-1)).toBe('User: first\nAssistant: fine\nUser: second\nAssistant:')
  await page.locator('#new').click()
  await page.getByText('Ask your own machine.').waitFor()
  expect(await page.locator('.message').count()).toBe(0)
  await ask(page, 'third')
  expect(prompts.at(-1)).toBe('User: third\nAssistant:')
})

webTest('a conversation has an address, and an answer goes on while the page is loaded again', async () => {
  const host = createFakeEngine({ answer: () => ({ pieces: Array.from({ length: 200 }, (_, at) => `w${at} `) }), pauseMs: 10 })
  const { page } = await openApp({ host })
  await page.locator('#question').fill('Go on!')
  await page.locator('#question').press('Enter')
  await page.getByText('w3 w4').waitFor()
  expect(new URL(page.url()).hash).toMatch(/^#\/c\/[\w-]+$/)
  await page.reload()
  await page.locator('.answer[aria-busy=true]').getByText('w3 w4').waitFor()
  await page.locator('.facts').waitFor()
  expect(await page.locator(answerText).textContent()).toBe(Array.from({ length: 200 }, (_, at) => `w${at}`).join(' '))
  await page.goBack()
  expect(page.url()).not.toContain('#/c/')
})

webTest('an answer is followed again after the connection was lost', async () => {
  const host = createFakeEngine({ answer: () => ({ pieces: Array.from({ length: 100 }, (_, at) => `w${at} `) }), pauseMs: 10 })
  const { page, server } = await openApp({ host })
  let lost = 0
  await page.route(`${server.url}/conversations/*/messages/*/events`, async (route) => {
    lost += 1
    if (lost > 2) return route.continue()
    await route.abort('connectionreset')
  })
  await page.locator('#question').fill('Go on!')
  await page.locator('#question').press('Enter')
  await page.getByText('The connection was lost. Trying to get back to the answer…').waitFor()
  await page.locator('.facts').waitFor()
  expect(await page.locator(answerText).textContent()).toContain('w0 w1 w2')
  expect(await page.getByText('The connection was lost.').count()).toBe(0)
})

webTest('Shift and Enter make a new line, Enter asks; what was typed stays with its conversation', async () => {
  const { page } = await openApp({ host: createEcho() })
  await page.locator('#question').pressSequentially('one')
  await page.keyboard.press('Shift+Enter')
  await page.keyboard.type('two')
  await page.keyboard.press('Enter')
  await page.locator('.facts').waitFor()
  expect(await page.locator('.asked .text').textContent()).toBe('one\ntwo')
  await page.locator('#question').fill('not sent yet')
  await page.locator('#new').click()
  await expect.poll(() => page.locator('#question').inputValue()).toBe('')
  await page.goBack()
  await expect.poll(() => page.locator('#question').inputValue()).toBe('not sent yet')
})

webTest('a question sent while its conversation is still being read is asked once it is there', async () => {
  const { page, server } = await openApp({ host: createEcho() })
  await page.locator('#question').fill('one')
  await page.locator('#question').press('Enter')
  await page.locator('.facts').waitFor()
  await page.locator('#new').click()
  await page.locator('.welcome').waitFor()
  const { promise, resolve } = Promise.withResolvers<void>()
  await page.route(`${server.url}/conversations/*/messages?*`, async (route) => {
    await promise
    await route.continue()
  })
  await page.locator('#sidebar').getByRole('link', { name: 'one', exact: true }).click()
  await page.locator('h1', { hasText: 'one' }).waitFor()
  await page.locator('#question').fill('two')
  await page.locator('#question').press('Enter')
  expect(await page.locator('#question').inputValue()).toBe('two')
  resolve()
  await expect.poll(() => page.locator('.facts').count()).toBe(2)
  expect(await page.locator('.asked .text').allTextContents()).toEqual(['one', 'two'])
  expect(await page.locator('#question').inputValue()).toBe('')
})

webTest('who asks too often is told how long to wait, and can try again there', async () => {
  const { page } = await openApp({ host: says('yes'), settings: { RATE_LIMIT_REQUESTS: '1', RATE_LIMIT_WINDOW_SECONDS: '2' } })
  await ask(page, 'Now?')
  await ask(page, 'And now?')
  const turn = page.locator('.asked').last()
  expect(await turn.locator('.error').textContent()).toMatch(/^\s*Too many requests\. Try again in [12] s\.\s*$/)
  expect(await turn.locator('.text').textContent()).toBe('And now?')
  const tryAgain = async () => {
    const button = turn.getByRole('button', { name: 'Try again' })
    if (await button.isVisible()) await button.click()
    return page.locator(answerText).count()
  }
  await expect.poll(tryAgain, { timeout: 10_000, interval: 200 }).toBe(2)
})

webTest('a question that cannot be sent stays, and is sent when the service can be reached', async () => {
  const { page, server } = await openApp({ host: createEcho() })
  await page.route(`${server.url}/conversations`, (route) =>
    route.request().method() === 'POST' ? route.abort() : route.continue(),
  )
  await ask(page, 'Do not lose me')
  expect(await page.locator('.asked .error').textContent()).toContain('The service does not answer.')
  await page.unroute(`${server.url}/conversations`)
  await page.locator('.asked').getByRole('button', { name: 'Try again' }).click()
  await page.locator('.facts').waitFor()
  expect(await page.locator(answerText).textContent()).toBe('Do not lose me')
})

webTest('a model that still loads is waited for', async () => {
  const { host, finish } = startsSlowly(says('here I am'))
  const { page } = await openApp({ host })
  await page.locator('#question').fill('Are you there?')
  await page.keyboard.press('Enter')
  await page.locator('.message').getByText('The model is still loading…').waitFor()
  finish()
  await page.getByText('here I am').waitFor()
  expect(await page.locator('.asked').count()).toBe(1)
})

webTest('an answer that breaks off says so, and keeps what was written', async () => {
  const host = createFakeEngine({ answer: () => ({ pieces: ['half '], end: false, failAfter: 3 }) })
  const { page } = await openApp({ host })
  await ask(page, 'All of it, please.')
  expect(await page.locator(answerText).textContent()).toContain('half half')
  expect(await page.locator('.answer .error').textContent()).toContain('The answer broke off.')
  expect(await page.locator('.facts').textContent()).toContain('broke off')
})

webTest('a long conversation opens at its end, and older messages come while its reader scrolls up', async () => {
  const { page, server } = await openApp({ host: createEcho() })
  const id = await page.evaluate(addMany, 300)
  await page.goto(`${server.url}/#/c/${id}`)
  const first = page.locator('.message').first()
  await page.getByText('message 299').waitFor()
  expect(await page.locator('.message').count()).toBe(50)
  const scroller = page.locator('.scroller')
  const distance = () => scroller.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight)
  await expect.poll(distance).toBeLessThan(25)
  const before = await first.getAttribute('data-message')
  await scroller.evaluate((box) => {
    box.scrollTop = 300
  })
  await expect.poll(() => page.locator('.message').count()).toBeGreaterThan(50)
  const place = await page.locator(`[data-message="${before}"]`).evaluate((message) => message.getBoundingClientRect().top)
  expect(place).toBeGreaterThan(-600)
  expect(place).toBeLessThan(800)
  await page.getByRole('button', { name: 'To the end' }).click()
  await expect.poll(distance).toBeLessThan(25)
})

webTest('who reads further up stays there while an answer is written', async () => {
  const { page } = await openApp({
    host: createFakeEngine({ answer: () => ({ pieces: ['line\n\n'], end: false }), pauseMs: 20 }),
  })
  await page.locator('#question').fill('Go on!')
  await page.locator('#question').press('Enter')
  const scroller = page.locator('.scroller')
  const top = () => scroller.evaluate((box) => box.scrollTop)
  await expect.poll(top, patience).toBeGreaterThan(400)
  await scroller.hover()
  await page.mouse.wheel(0, -300)
  await page.getByRole('button', { name: 'Something new below' }).waitFor()
  const there = await top()
  await expect
    .poll(() => scroller.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight), patience)
    .toBeGreaterThan(800)
  expect(Math.abs((await top()) - there)).toBeLessThan(5)
  await page.getByRole('button', { name: 'Something new below' }).click()
  await expect.poll(top, patience).toBeGreaterThan(there + 700)
  await page.locator('#stop').click()
})

webTest('where the service wants a name, the page asks for it; no script can read the token', async () => {
  const { page } = await openApp({ host: says('welcome'), settings: { ALLOW_ANONYMOUS: 'false' } })
  await page.locator('dialog').waitFor()
  await signIn(page, 'ana', { register: true })
  await page.getByText('Administration').waitFor()
  await ask(page, 'Hello')
  expect(await page.locator(answerText).textContent()).toBe('welcome')
  expect(await page.evaluate('document.cookie')).toBe('')
  expect(await page.evaluate('JSON.stringify([localStorage, sessionStorage])')).not.toMatch(/ey|token|simpleia/i)
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.locator('dialog').waitFor()
  expect(await page.locator('dialog h2').textContent()).toBe('Sign in')
})

webTest('a wrong password is told in the dialog', async () => {
  const { page, server } = await openApp({ host: says('x') }, { locale: 'es-MX' })
  await server.login('ana')
  await page.getByRole('button', { name: 'Entrar' }).click()
  await page.getByLabel('Nombre de usuario').fill('ana')
  await page.getByLabel('Contraseña').fill('not the password')
  await page.keyboard.press('Enter')
  await page.locator('dialog .error').waitFor()
  expect(await page.locator('dialog .error').textContent()).toContain('El nombre de usuario y la contraseña no coinciden.')
})

webTest('the page speaks Spanish and English: the language of the browser, or the one that was chosen', async () => {
  const { page } = await openApp({ host: says('x') }, { locale: 'es-ES' })
  expect(await page.locator('.welcome h2').textContent()).toBe('Pregunta a tu propia máquina.')
  await ask(page, '¿Qué tal?')
  expect(await page.locator('.facts').textContent()).toContain('hecha en esta máquina')
  await page.getByRole('button', { name: 'English' }).click()
  expect(await page.locator('.facts').textContent()).toContain('ran on this machine')
  expect(await page.locator('html').getAttribute('lang')).toBe('en')
  await page.locator('#new').click()
  await page.reload()
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  expect(await page.locator('.welcome h2').textContent()).toBe('Ask your own machine.')
  expect(await page.locator('#question').getAttribute('placeholder')).toBe('Ask something…')
})

webTest('on a phone nothing is wider than the screen', async () => {
  const table = `| ${'column | '.repeat(12)}\n|${'-|'.repeat(12)}\n| ${'value | '.repeat(12)}`
  const { page } = await openApp(
    { host: says(table, '\n\n```\n', 'x'.repeat(300), '\n```') },
    { viewport: { width: 390, height: 844 }, locale: 'es' },
  )
  await ask(page, 'Donaudampfschifffahrtsgesellschaft'.repeat(10))
  await page.locator('.thumb.up').first().click()
  await page.locator('.comment').waitFor()
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
  expect(await page.locator('.scroller').evaluate((box) => box.scrollWidth - box.clientWidth)).toBe(0)
})

/** Keeps a conversation of so many messages, from inside the page. */
async function addMany(count: number): Promise<string> {
  const post = async (path: string, body: object): Promise<{ id: string }> => {
    const headers = { 'content-type': 'application/json' }
    return JSON.parse(await (await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })).text())
  }
  const { id } = await post('/conversations', {})
  let parent: string | null = null
  for (let index = 0; index < count; index += 1) {
    const role = index % 2 === 0 ? 'user' : 'assistant'
    const message = await post(`/conversations/${id}/messages`, {
      parent_id: parent,
      role,
      content: `message ${index}`,
    })
    parent = message.id
  }
  return id
}

/** A host whose model is there when `finish` is called. */
function startsSlowly(host: ModelHost): { host: ModelHost; finish: () => void } {
  let isReady = false
  return {
    host: {
      ...host,
      status: () => ({ ...host.status(), state: isReady ? 'ready' : 'loading' }),
      selected: () => (isReady ? host.selected() : undefined),
      async choose(name) {
        if (!isReady) throw new AppError('unavailable', 'The model is loading.')
        return host.choose(name)
      },
    },
    finish() {
      isReady = true
    },
  }
}
