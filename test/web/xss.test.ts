import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { noIncidents } from './browser.ts'
import { createEcho } from './echo.ts'
import { type FilledApp, openFilledApp } from './filled-app.ts'
import { openApp, webTest } from './open-app.ts'
import { markdownPayloads, payloads } from './xss-payloads.ts'

const texts = [...payloads, ...markdownPayloads]
const filling = { names: payloads, texts }

/** What text of others must never become. */
const intruders = `[...document.querySelectorAll('*')].filter((element) => {
  const isForeign = element.matches(
    'script:not([src^="/"]), iframe, frame, object, embed, applet, base, meta[http-equiv], [srcdoc], [action],' +
      '[formaction], [ping], [background], [poster], video, audio, source, image, use, animate, set, foreignObject, annotation-xml,' +
      'maction, template, noscript > *, plaintext, xmp, .markdown :is([id], [name], [style], img, svg, form, input, style)')
  const attributes = [...element.attributes]
  const runs = attributes.some(({ name }) => name.startsWith('on'))
  const leads = attributes.some(({ name, value }) =>
    /^(href|src|xlink:href|data)$/.test(name) && !/^(https?:|mailto:|blob:http|[\\/#])/.test(value))
  const loads = /^(img|link)$/.test(element.localName) && !(element.src ?? element.href).startsWith(location.origin)
  return isForeign || runs || leads || loads
}).map(({ outerHTML }) => outerHTML.slice(0, 200))`

async function expectText(page: Page, where: string, wanted: readonly string[]): Promise<void> {
  const plain = (text: string | null) => (text ?? '').replaceAll(/\s+/g, ' ')
  const missing = async () => {
    const shown = plain(await page.locator('body').textContent())
    return wanted.filter((text) => !shown.includes(plain(text).trim()))
  }
  await expect.poll(missing, { message: where, timeout: 10_000 }).toEqual([])
  await expect.poll(() => page.getByText(/^Loading…$/).count()).toBe(0)
}

/** Unfolds all there is, and looks at what has become of it. */
async function expectOnlyText(page: Page, where: string): Promise<void> {
  for (let unfolded = -1; unfolded !== 0; )
    unfolded = await page.evaluate<number>(`(() => {
      const closed = [...document.querySelectorAll('details:not([open])')]
      for (const one of closed) one.open = true
      return closed.length
    })()`)
  expect(await page.evaluate(intruders), where).toEqual([])
}

async function visit({ page, url, places }: FilledApp, place: string, wanted: readonly string[] = []): Promise<void> {
  await page.goto(`${url}${places[place]}`)
  await page.locator('h1').waitFor()
  await expectText(page, place, wanted)
  await expectOnlyText(page, place)
}

const short = (most: number) => payloads.filter(({ length }) => length <= most)

webTest('markup in conversations is text: titles, questions, answers, thoughts, tools, files, sources and models', async () => {
  const app = await openFilledApp(filling)
  const { page, incidents, url } = app
  await visit(app, 'conversation', payloads)
  const unfold = async () => {
    await page.locator('.scroller').evaluate((box) => {
      box.scrollTop = 0
    })
    return page.locator('.message').count()
  }
  await expect.poll(unfold, { timeout: 30_000 }).toBe(texts.length * 3)
  await expectOnlyText(page, 'conversation')
  expect(await page.locator('.asked p.text').allTextContents()).toEqual(texts)
  const reasoning = page.locator('.thought')
  await expect.poll(() => reasoning.count()).toBe(texts.length)
  expect(await page.locator('.markdown a:not([href^="http"], [href^="mailto:"])').count()).toBe(0)
  await page.locator('.markdown .cite').first().click()
  await page.getByRole('dialog').waitFor()
  await expectOnlyText(page, 'source')
  await page.keyboard.press('Escape')

  await page.locator('.answer').last().getByRole('button', { name: 'Correct' }).click()
  await expectOnlyText(page, 'correction')
  await page.locator('.picker').click()
  await expectText(page, 'picker', payloads)
  await expectOnlyText(page, 'picker')
  await page.keyboard.press('Escape')
  await page.locator('#settings').click()
  await expectText(page, 'settings', short(100))
  await expectOnlyText(page, 'settings')
  await page.keyboard.press('Escape')
  await page.locator('#sidebar input[type=search]').fill('alert')
  await page.locator('#sidebar mark').first().waitFor()
  await expectOnlyText(page, 'search')

  await page.goto(`${url}/#/`)
  await page.locator('#question').fill('all')
  await page.keyboard.press('Enter')
  await page.locator('.facts').waitFor()
  await expectOnlyText(page, 'streamed answer')
  await page.locator('#question').fill('with a file')
  const files = payloads
    .slice(0, 10)
    .map((text) => ({ name: `${text.replaceAll('/', '')}.txt`, mimeType: 'text/plain', buffer: Buffer.from(text) }))
  await page.locator('input[type=file][multiple]').setInputFiles(files)
  await expectText(
    page,
    'attachments',
    files.map(({ name }) => name),
  )
  await expectOnlyText(page, 'attachments')
  expect(incidents).toEqual(noIncidents)
})

webTest('markup in what the other pages show is text, in answers from documents and their X-ray too', async () => {
  const app = await openFilledApp(filling)
  const { page, incidents } = app
  const shown: Readonly<Record<string, readonly string[]>> = {
    documents: payloads.slice(0, 12),
    collection: payloads.slice(0, 6),
    document: payloads.slice(0, 12),
    models: payloads,
    dataset: [payloads[1] ?? ''],
    evaluation: ['alert(1)'],
    rollouts: payloads.filter((payload) => !payload.includes('/')).slice(0, 3),
    'admin, keys': short(100),
    'admin, egress': payloads,
    'admin, audit': short(100).slice(-4),
    'admin, feedback': [payloads[2] ?? ''],
  }
  for (const place of Object.keys(app.places)) await visit(app, place, shown[place])

  await visit(app, 'collection')
  await page.locator('#documents-question').fill(payloads.join(' '))
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
  await page.locator('article .facts').waitFor()
  await expectOnlyText(page, 'answer from documents')
  await page
    .getByRole('button', { name: /^Show the passage/ })
    .first()
    .click()
  await page.getByRole('dialog').waitFor()
  await expectOnlyText(page, 'passage')
  expect(incidents).toEqual(noIncidents)
})

webTest('what is refused is repeated as text', async () => {
  const { page, incidents, server } = await openApp({ host: createEcho() })
  await server.login('root')
  await page.request.post(`${server.url}/auth/login`, { data: { username: 'root', password: 'root-has-a-long-password' } })
  await page.reload()
  const places = [
    'c',
    'documents',
    'documents/default',
    'training/datasets',
    'training/runs',
    'training/evaluations',
    'training/rollouts',
  ]
  for (const [index, payload] of payloads.entries()) {
    const place = places[index % places.length]
    await page.goto(`${server.url}/#/${place}/${encodeURIComponent(payload)}`)
    await page.locator('h1').first().waitFor()
    await expectText(page, place ?? '', [])
    await expectOnlyText(page, `${place}: ${payload}`)
  }
  for (const place of ['training', 'admin']) {
    await page.goto(`${server.url}/#/${place}/${encodeURIComponent(payloads.join(' '))}`)
    await expectOnlyText(page, place)
  }
  expect(incidents).toEqual(noIncidents)
})

webTest('markup in user names is refused, and shown as text where it is tried', async () => {
  const { page, incidents, server } = await openApp({ host: createEcho() })
  await server.login('ana')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.locator('dialog button.plain').click()
  for (const payload of payloads.filter(({ length }) => length <= 64)) {
    await page.locator('dialog #username').fill(payload)
    await page.locator('dialog #password').fill('a long enough password')
    await page.locator('dialog button.main').click()
    await expect.poll(() => page.locator('dialog .error').count()).toBe(1)
  }
  expect(await page.evaluate(intruders)).toEqual([])
  expect(incidents).toEqual(noIncidents)
})

webTest('markup in the lines of the log is text', async () => {
  const { page, incidents, server } = await openApp({ host: createEcho(), logStream: { write() {} } })
  await server.login('root')
  await page.request.post(`${server.url}/auth/login`, { data: { username: 'root', password: 'root-has-a-long-password' } })
  await page.reload()
  const at = new Date().toISOString()
  const lines = texts.map((text) => ({ at, level: 'error', message: text, fields: { [text]: text, err: { stack: text } } }))
  const body = lines.map((line) => `event: line\ndata: ${JSON.stringify(line)}\n\n`).join('')
  await page.route('**/admin/logs?*', (route) => route.fulfill({ contentType: 'text/event-stream', body }))
  await page.goto(`${server.url}/#/admin/logs`)
  await expectText(page, 'logs', payloads)
  await expectOnlyText(page, 'logs')
  expect(incidents).toEqual(noIncidents)
})

webTest('the pages allow no script or style but our own files, and no frame', async () => {
  const { server } = await openApp({ host: createEcho() })
  for (const path of ['/', '/admin']) {
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
  const add = (html: string) => page.evaluate(`document.body.insertAdjacentHTML('beforeend', ${JSON.stringify(html)})`)
  await page.evaluate('alert(1)')
  await add('<img src=x onerror=alert(2)>')
  await add('<img src="https://evil.example/x.gif">')
  await add('<p style="color: red"></p><a href="javascript:alert(3)"></a><iframe src="data:text/html,x"></iframe>')
  const blocked = () => [...new Set(incidents.blocked)].toSorted()
  await expect.poll(blocked).toEqual(['frame-src', 'img-src', 'script-src-attr', 'style-src-attr'])
  await expect.poll(() => incidents.violations.length).toBeGreaterThanOrEqual(4)
  expect(incidents.dialogs).toEqual(['1'])
  expect(incidents.foreignRequests).toContain('https://evil.example/x.gif')
  expect(await page.evaluate<string[]>(intruders)).toHaveLength(4)
})
