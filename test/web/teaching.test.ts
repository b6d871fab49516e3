import { expect } from 'vitest'
import type { FeedbackItem } from '../../src/feedback/schema.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, type TestServer } from '../server.ts'
import { ask, noIncidents, signIn } from './browser.ts'
import { createEcho } from './echo.ts'
import { openApp, webTest } from './open-app.ts'
import { payloads } from './xss-payloads.ts'

const answerText = '.answer > .text'

/** Tells the prompts. */
function createListener() {
  const prompts: string[] = []
  const host = createFakeEngine({
    answer(prompt) {
      prompts.push(prompt)
      return { pieces: ['as ', 'told'] }
    },
  })
  return { host, prompts }
}

/** The answers differ though the prompt is the same: the engine is asked once more for each. */
function createNumbered() {
  let asked = 0
  const echo = createEcho()
  const host = {
    ...echo,
    async *generate(...[request, signal, onSent]: Parameters<typeof echo.generate>) {
      asked += 1
      const number = asked
      for await (const event of echo.generate(request, signal, onSent))
        yield event.type === 'text-delta' ? { ...event, text: event.text === '' ? '' : `${event.text}${number} ` } : event
    },
  }
  return host
}

async function feedbackOf(server: TestServer): Promise<readonly FeedbackItem[]> {
  const authorization = `Bearer ${await server.login('root')}`
  const { items } = await bodyOf<{ items: FeedbackItem[] }>(
    await fetch(`${server.url}/feedback?limit=200`, { headers: { authorization } }),
  )
  return items
}

webTest('an answer is edited in its place, the correction is feedback, and the conversation goes on from it', async () => {
  const { host, prompts } = createListener()
  const { page, server, incidents } = await openApp({ host })
  await ask(page, 'first')
  await page.getByRole('button', { name: 'Edit' }).click()
  const form = page.locator('.edit textarea')
  expect(await form.inputValue()).toBe('as told')
  await form.fill('what I wanted')
  await page.getByRole('button', { name: 'Save' }).click()
  await form.waitFor({ state: 'detached' })
  expect(await page.locator(answerText).textContent()).toBe('what I wanted')
  await ask(page, 'second')
  expect(prompts.at(-1)).toContain('Assistant: what I wanted\nUser: second')
  // A thumb that follows must not undo the correction: the last feedback counts.
  const thumb = page.locator('.turn').first().locator('.thumb.up')
  await thumb.click()
  await expect.poll(() => thumb.getAttribute('aria-pressed')).toBe('true')
  await page.locator('.comment textarea').first().fill('it was too short')
  await page.getByRole('button', { name: 'Send' }).first().click()
  await page.locator('.comment').first().waitFor({ state: 'hidden' })
  await page.locator('.turn').first().locator('.thumb.down').click()
  await expect.poll(() => thumb.getAttribute('aria-pressed')).toBe('false')
  expect(await feedbackOf(server)).toMatchObject([
    { rating: 'down', correction: 'what I wanted', text: 'it was too short' },
    { rating: 'up', correction: 'what I wanted', text: 'it was too short' },
    { rating: 'up', correction: 'what I wanted' },
    { rating: 'down', correction: 'what I wanted' },
  ])
  expect(incidents).toEqual(noIncidents)
})

webTest('an edit that is given up, or changes nothing, is no feedback', async () => {
  const { page, server } = await openApp({ host: createEcho() })
  await ask(page, 'first')
  for (const leave of [() => page.getByRole('button', { name: 'Cancel' }).click(), () => page.keyboard.press('Escape')]) {
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.locator('.edit textarea').fill('other')
    await leave()
    expect(await page.locator(answerText).textContent()).toBe('first')
  }
  await page.getByRole('button', { name: 'Edit' }).click()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.locator('.edit').waitFor({ state: 'detached' })
  expect(await feedbackOf(server)).toEqual([])
})

webTest('a second answer stands below the first, and the one that is kept is feedback over the other', async () => {
  for (const which of ['first', 'second'] as const) {
    const { page, server, incidents } = await openApp({ host: createNumbered() })
    await ask(page, 'ab')
    await page.getByRole('button', { name: 'Answer again' }).click()
    const keep = page.getByRole('button', { name: 'Keep this one' })
    await expect.poll(() => keep.count()).toBe(2)
    expect(await page.locator(answerText).allTextContents()).toEqual(['a1 b1 ', 'a2 b2 '])
    await (which === 'first' ? keep.first() : keep.last()).click()
    expect(await page.locator(answerText).allTextContents()).toEqual([which === 'first' ? 'a1 b1 ' : 'a2 b2 '])
    await page.getByText('Thank you.').waitFor()
    expect(await page.locator('.thumb.up').getAttribute('aria-pressed')).toBe('true')
    const [given, ...others] = await feedbackOf(server)
    expect(others).toEqual([])
    expect(given).toMatchObject({
      rating: 'up',
      prediction_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      rejected_prediction_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
    expect(given?.prediction_id).not.toBe(given?.rejected_prediction_id)
    expect(incidents).toEqual(noIncidents)
  }
})

webTest('a second answer that fails leaves the first as it was', async () => {
  let asked = 0
  const echo = createEcho()
  const host = {
    ...echo,
    async *generate(...parts: Parameters<typeof echo.generate>) {
      asked += 1
      if (asked === 2) throw new Error('The model fails.')
      yield* echo.generate(...parts)
    },
  }
  const { page } = await openApp({ host })
  await ask(page, 'first')
  await page.getByRole('button', { name: 'Answer again' }).click()
  await page.locator('.error').waitFor()
  expect(await page.locator(answerText).allTextContents()).toEqual(['first'])
  await page.getByRole('button', { name: 'Answer again' }).click()
  await expect.poll(() => page.getByRole('button', { name: 'Keep this one' }).count()).toBe(2)
})

webTest('who signs out leaves nothing of the conversation behind, and nobody goes on with it', async () => {
  const { host, prompts } = createListener()
  const { page } = await openApp({ host })
  await page.getByRole('button', { name: 'Sign in' }).click()
  await signIn(page, 'ana', { register: true })
  await ask(page, 'a secret of ana')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.locator('.turn').waitFor({ state: 'detached' })
  await ask(page, 'and now')
  expect(prompts.at(-1)).not.toContain('secret')
})

webTest('where nothing is remembered, the page says that nothing is learned', async () => {
  const { page } = await openApp({ host: createEcho(), settings: { STORE_PREDICTIONS: 'false' } }, { locale: 'es-ES' })
  await ask(page, 'hola')
  await page.locator('.thumb.up').click()
  await page.getByText('no se puede aprender de ello').waitFor()
})

webTest('markup in corrections and tags is text, in the chat and on the admin page', async () => {
  const { page, incidents, server } = await openApp({ host: createEcho() })
  const few = payloads.filter((_, index) => index % 2 === 0)
  for (const [index, payload] of few.entries()) {
    await ask(page, `question ${index}`)
    const turn = page.locator('.turn').nth(index)
    await turn.getByRole('button', { name: 'Edit' }).click()
    await turn.locator('.edit textarea').fill(payload)
    await turn.getByRole('button', { name: 'Save' }).click()
    await turn.locator('.edit').waitFor({ state: 'detached' })
    expect(await turn.locator(answerText).textContent()).toBe(payload)
  }
  const tags = payloads.filter(({ length }) => length <= 50).slice(0, 20)
  const body = JSON.stringify({ prediction_id: 'unknown', rejected_prediction_id: '<b>other</b>', rating: 'up', tags })
  await fetch(`${server.url}/feedback`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  await page.goto(`${server.url}/admin`)
  await signIn(page, 'root', { register: true })
  await page.locator('#feedback li').first().waitFor()
  expect(await page.locator('#feedback .tag').allTextContents()).toEqual(tags)
  expect(await page.locator('#feedback .correction').allTextContents()).toEqual(few.toReversed())
  expect(await page.locator('#feedback').textContent()).toContain('kept over <b>other</b>')
  expect(incidents).toEqual(noIncidents)
})
