import { expect } from 'vitest'
import type { ModelHost } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { ask, noIncidents, signIn } from './browser.ts'
import { createEcho } from './echo.ts'
import { openApp, webTest } from './open-app.ts'

const answerText = '.answer > .text'
const says = (...pieces: string[]) => createFakeEngine({ answer: () => ({ pieces }) })
/** Writes on and on, with time to look at it. */
const writesForEver = () => createFakeEngine({ answer: () => ({ pieces: ['again '], end: false }), pauseMs: 5 })

webTest('an answer is shown exactly as it was given, and what is known of it', async () => {
  const { page, incidents } = await openApp({ host: says('Uno,\n', '  *dos*', '\n\n<b>tres</b> 😀 ', '&amp; cuatro') })
  await ask(page, 'Count!')
  expect(await page.locator(answerText).textContent()).toBe('Uno,\n  *dos*\n\n<b>tres</b> 😀 &amp; cuatro')
  expect(await page.locator('.asked').textContent()).toBe('Count!')
  expect(await page.locator('.facts p').textContent()).toContain('ran on this machine')
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
  await ask(page, 'Where are you?')
  expect(await page.locator(answerText).textContent()).toBe('from afar')
  expect(await page.locator('.facts p').textContent()).toContain('ran in the cloud')
  expect(claude.asked[0]?.sampling.repeatPenalty).toBe(1)
})

webTest('an answer appears while it is written, and stops when it is told to', async () => {
  const host = writesForEver()
  const { page } = await openApp({ host })
  for (const stop of [() => page.locator('#stop').click(), () => page.keyboard.press('Escape')]) {
    await page.locator('#question').fill('Go on!')
    await page.locator('#question').press('Enter')
    const answer = page.locator('.turn').last()
    await answer.getByText('again again again').waitFor()
    expect(await answer.locator('.answer').getAttribute('aria-busy')).toBe('true')
    await stop()
    await answer.getByText('stopped').waitFor()
    await expect.poll(() => host.status().active).toBe(0)
    expect(await page.locator('#send').isVisible()).toBe(true)
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
  expect(await page.locator('.turn').count()).toBe(0)
  await ask(page, 'third')
  expect(prompts.at(-1)).toBe('User: third\nAssistant:')
})

webTest('Shift and Enter make a new line, Enter asks', async () => {
  const { page } = await openApp({ host: createEcho() })
  await page.locator('#question').pressSequentially('one')
  await page.keyboard.press('Shift+Enter')
  await page.keyboard.type('two')
  await page.keyboard.press('Enter')
  await page.locator('.facts').waitFor()
  expect(await page.locator('.asked .text').textContent()).toBe('one\ntwo')
})

webTest('who asks too often is told how long to wait, and can try again there', async () => {
  const { page } = await openApp({ host: says('yes'), settings: { RATE_LIMIT_REQUESTS: '1', RATE_LIMIT_WINDOW_SECONDS: '2' } })
  await ask(page, 'Now?')
  await ask(page, 'And now?')
  const turn = page.locator('.turn').last()
  expect(await turn.locator('.error').textContent()).toMatch(/^Too many requests\. Try again in [12] s\.$/)
  const tryAgain = async () => {
    await turn.getByRole('button', { name: 'Try again' }).click()
    await turn.locator('.facts, .error').waitFor()
    return turn.locator(answerText).textContent()
  }
  await expect.poll(tryAgain, { timeout: 10_000, interval: 200 }).toBe('yes')
})

webTest('a model that still loads is waited for', async () => {
  const { host, finish } = startsSlowly(says('here I am'))
  const { page } = await openApp({ host })
  await page.locator('#question').fill('Are you there?')
  await page.keyboard.press('Enter')
  await page.getByText('The model is still loading. Trying again in 2 s…').waitFor()
  finish()
  await page.locator('.facts').waitFor()
  expect(await page.locator(answerText).textContent()).toBe('here I am')
})

webTest('an answer that breaks off says so, and keeps what was written', async () => {
  const host = createFakeEngine({ answer: () => ({ pieces: ['half '], end: false, failAfter: 3 }) })
  const { page } = await openApp({ host })
  await ask(page, 'All of it, please.')
  expect(await page.locator(answerText).textContent()).toContain('half half ')
  expect(await page.locator('.error').textContent()).toContain('The answer broke off.')
})

webTest('where the service wants a name, the page asks for it; no script can read the token', async () => {
  const { page } = await openApp({ host: says('welcome'), settings: { ALLOW_ANONYMOUS: 'false' } })
  await page.locator('dialog').waitFor()
  await signIn(page, 'ana', { register: true })
  await page.getByText('Administration').waitFor()
  await ask(page, 'Hello')
  expect(await page.locator(answerText).textContent()).toBe('welcome')
  expect(await page.evaluate('document.cookie')).toBe('')
  expect(await page.evaluate('JSON.stringify([localStorage, sessionStorage])')).toBe('[{},{}]')
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
  expect(await page.locator('dialog .error').textContent()).toBe('El nombre de usuario y la contraseña no coinciden.')
})

webTest('the page speaks Spanish and English: the language of the browser, or the one that was chosen', async () => {
  const { page } = await openApp({ host: says('x') }, { locale: 'es-ES' })
  expect(await page.locator('h1').textContent()).toBe('Pregunta a tu propia máquina.')
  await ask(page, '¿Qué tal?')
  expect(await page.locator('.facts p').textContent()).toContain('hecha en esta máquina')
  await page.getByRole('button', { name: 'English' }).click()
  expect(await page.locator('.facts p').textContent()).toContain('ran on this machine')
  expect(await page.locator('html').getAttribute('lang')).toBe('en')
  await page.reload()
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  expect(await page.locator('h1').textContent()).toBe('Ask your own machine.')
  expect(await page.locator('#question').getAttribute('placeholder')).toBe('Ask something…')
})

webTest('on a phone nothing is wider than the screen', async () => {
  const { page, server } = await openApp({ host: createEcho() }, { viewport: { width: 390, height: 844 }, locale: 'es' })
  await ask(page, 'Donaudampfschifffahrtsgesellschaft'.repeat(10))
  await page.locator('.thumb').first().click()
  await page.locator('.comment').waitFor()
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
  await page.goto(`${server.url}/admin`)
  await page.locator('dialog').waitFor()
  await signIn(page, 'w'.repeat(64), { register: true })
  await page.locator('#panels').waitFor()
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
})

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
