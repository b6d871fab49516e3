import { expect } from 'vitest'
import type { FeedbackItem } from '../../src/feedback/schema.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, type TestServer } from '../server.ts'
import { ask, noIncidents, signIn } from './browser.ts'
import { createEcho } from './echo.ts'
import { openApp, webTest } from './open-app.ts'
import { payloads } from './xss-payloads.ts'

const answerText = '.answer .content'

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

webTest('an answer is corrected in its place, the correction is feedback, and the conversation goes on from it', async () => {
  const { host, prompts } = createListener()
  const { page, server, incidents } = await openApp({ host })
  await ask(page, 'first')
  const answer = page.locator('.answer').first()
  await answer.getByRole('button', { name: 'Correct' }).click()
  const form = page.locator('.edit textarea')
  expect(await form.inputValue()).toBe('as told')
  await form.fill('what I wanted')
  await page.getByRole('button', { name: 'Save' }).click()
  await form.waitFor({ state: 'detached' })
  expect(await page.locator(answerText).textContent()).toBe('what I wanted')
  expect(await answer.locator('.facts').textContent()).toContain('corrected by you')
  await ask(page, 'second')
  expect(prompts.at(-1)).toContain('Assistant: what I wanted\nUser: second')
  // A thumb that follows must not undo the correction: the last feedback counts.
  const thumb = answer.locator('.thumb.up')
  await thumb.click()
  await expect.poll(() => thumb.getAttribute('aria-pressed')).toBe('true')
  await answer.getByLabel('exact').check()
  await answer.locator('.comment textarea').fill('it was too short')
  await answer.getByRole('button', { name: 'Send comment' }).click()
  await answer.locator('.comment').waitFor({ state: 'hidden' })
  await answer.locator('.thumb.down').click()
  await expect.poll(() => thumb.getAttribute('aria-pressed')).toBe('false')
  expect(await feedbackOf(server)).toMatchObject([
    { rating: 'down', correction: 'what I wanted', text: 'it was too short', tags: [] },
    { rating: 'up', correction: 'what I wanted', text: 'it was too short', tags: ['exact'] },
    { rating: 'up', correction: 'what I wanted' },
    { rating: 'down', correction: 'what I wanted' },
  ])
  expect(incidents).toEqual(noIncidents)
})

webTest('who goes on while a comment is being sent keeps the focus', async () => {
  const { page } = await openApp({ host: createListener().host })
  await ask(page, 'first')
  const answer = page.locator('.answer').first()
  await answer.getByRole('button', { name: 'Good answer' }).click()
  await answer.getByLabel('clear').check()
  const held = Promise.withResolvers<void>()
  await page.route(/feedback/, async (route) => {
    await held.promise
    await route.continue()
  })
  await answer.getByRole('button', { name: 'Send comment' }).click()
  const correct = answer.getByRole('button', { name: 'Correct' })
  await correct.focus()
  held.resolve()
  await answer.locator('form.comment').waitFor({ state: 'detached' })
  expect(await correct.and(page.locator(':focus')).count()).toBe(1)
})

webTest('a correction that is given up, or changes nothing, is no feedback', async () => {
  const { page, server } = await openApp({ host: createEcho() })
  await ask(page, 'first')
  const correct = page.locator('.answer').getByRole('button', { name: 'Correct' })
  for (const leave of [() => page.getByRole('button', { name: 'Cancel' }).click(), () => page.keyboard.press('Escape')]) {
    await correct.click()
    await page.locator('.edit textarea').fill('other')
    await leave()
    expect(await page.locator(answerText).textContent()).toBe('first')
    expect(await page.evaluate('document.activeElement.ariaLabel')).toBe('Correct')
  }
  await correct.click()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.locator('.edit').waitFor({ state: 'detached' })
  expect(await feedbackOf(server)).toEqual([])
})

webTest('another answer is a version beside the first, and the versions can be turned', async () => {
  const { page } = await openApp({ host: createNumbered() })
  await ask(page, 'ab')
  await page.getByRole('button', { name: 'Answer again' }).click()
  await expect.poll(() => page.locator(answerText).textContent()).toBe('a2 b2')
  const earlier = page.getByRole('button', { name: 'Earlier version' })
  expect(await page.locator('.answer .versions').textContent()).toContain('2/2')
  await earlier.click()
  await expect.poll(() => page.locator(answerText).textContent()).toBe('a1 b1')
  expect(await page.evaluate('document.activeElement.ariaLabel')).toBe('Earlier version')
  await page.keyboard.press('ArrowRight')
  await expect.poll(() => page.locator(answerText).textContent()).toBe('a2 b2')
  await page.reload()
  await expect.poll(() => page.locator(answerText).textContent()).toBe('a2 b2')
})

webTest('a question that is edited begins a branch beside the old one, which stays', async () => {
  const { page } = await openApp({ host: createEcho() })
  await ask(page, 'first')
  await ask(page, 'second')
  await page.locator('.asked').first().getByRole('button', { name: 'Edit' }).click()
  await page.locator('.edit textarea').fill('changed')
  await page.getByRole('button', { name: 'Ask again' }).click()
  await expect.poll(() => page.locator(answerText).allInnerTexts()).toEqual(['changed'])
  await page.locator('.facts').waitFor()
  await page.locator('.asked').getByRole('button', { name: 'Earlier version' }).click()
  await expect.poll(() => page.locator(answerText).allInnerTexts()).toEqual(['first', 'second'])
})

webTest('two answers stand side by side, and the one that is better is feedback over the other', async () => {
  for (const which of ['first', 'second'] as const) {
    const { page, server, incidents } = await openApp({ host: createNumbered() })
    await ask(page, 'ab')
    await page.getByRole('button', { name: 'Compare with…' }).click()
    await page.getByRole('button', { name: 'Compare', exact: true }).click()
    const better = page.getByRole('button', { name: 'This one is better' })
    await expect.poll(() => better.count()).toBe(2)
    expect(await page.locator('.comparison .content').allInnerTexts()).toEqual(['a1 b1', 'a2 b2'])
    await (which === 'first' ? better.first() : better.last()).click()
    await page.locator('.comparison').waitFor({ state: 'detached' })
    expect(await page.locator(answerText).allInnerTexts()).toEqual([which === 'first' ? 'a1 b1' : 'a2 b2'])
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

webTest('the answers stand side by side until the better one stands alone, also when that takes its time', async () => {
  const { page } = await openApp({ host: createNumbered() })
  await ask(page, 'ab')
  await page.getByRole('button', { name: 'Compare with…' }).click()
  await page.getByRole('button', { name: 'Compare', exact: true }).click()
  const better = page.getByRole('button', { name: 'This one is better' })
  await expect.poll(() => better.count()).toBe(2)
  const asked = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  await page.route(/\/messages\?/, async (route) => {
    asked.resolve()
    await held.promise
    await route.continue()
  })
  await better.last().click()
  await asked.promise
  expect(await page.locator('.comparison .content').allInnerTexts()).toEqual(['a1 b1', 'a2 b2'])
  held.resolve()
  await page.locator('.comparison').waitFor({ state: 'detached' })
  expect(await page.locator(answerText).allInnerTexts()).toEqual(['a2 b2'])
})

webTest('another answer that fails stands beside the first, which is there as it was', async () => {
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
  await page.locator('.answer .error').waitFor()
  await page.getByRole('button', { name: 'Earlier version' }).click()
  await expect.poll(() => page.locator(answerText).textContent()).toBe('first')
  await page.getByRole('button', { name: 'Later version' }).click()
  await page.locator('.answer').getByRole('button', { name: 'Try again' }).click()
  await expect.poll(() => page.locator('.answer .versions').textContent()).toContain('3/3')
  await expect.poll(() => page.locator(answerText).textContent()).toBe('first')
})

webTest('who signs out leaves nothing of the conversation behind, and nobody goes on with it', async () => {
  const { host, prompts } = createListener()
  const { page } = await openApp({ host })
  await page.getByRole('button', { name: 'Sign in' }).click()
  await signIn(page, 'ana', { register: true })
  await ask(page, 'a secret of ana')
  await page.locator('#question').fill('a draft of ana')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.locator('.message').first().waitFor({ state: 'detached' })
  await page.locator('.welcome').waitFor()
  expect(await page.locator('#question').inputValue()).toBe('')
  await ask(page, 'and now')
  expect(prompts.at(-1)).not.toContain('secret')
})

webTest('where nothing is remembered, the page says that nothing is learned', async () => {
  const { page } = await openApp({ host: createEcho(), settings: { STORE_PREDICTIONS: 'false' } }, { locale: 'es-ES' })
  await ask(page, 'hola')
  await page.locator('.thumb.up').click()
  await page.getByText('no se puede aprender de ello').waitFor()
})

webTest('markup in questions, answers, corrections and files is text', async () => {
  const { page, incidents } = await openApp({ host: createEcho() })
  for (const [index, payload] of payloads.entries()) {
    await ask(page, payload)
    expect(await page.locator('.asked .text').nth(index).textContent()).toBe(payload)
  }
  const answer = page.locator('.answer').first()
  await answer.getByRole('button', { name: 'Correct' }).click()
  await page.locator('.edit textarea').fill(payloads.join('\n\n'))
  await page.getByRole('button', { name: 'Save' }).click()
  await page.locator('.edit').waitFor({ state: 'detached' })
  const forbidden = '.markdown :is(script, img, svg, iframe, object, embed, style, link, form, input, video, base, meta, [style])'
  expect(await page.locator(forbidden).count()).toBe(0)
  expect(await page.locator('.markdown a:not([href^="http"])').count()).toBe(0)
  expect(incidents).toEqual(noIncidents)
})
