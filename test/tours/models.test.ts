import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, expect } from 'vitest'
import { texts as pickerTexts } from '../../web/chat/head/texts.ts'
import { texts } from '../../web/models/texts.ts'
import { type Fault, openHub, sha256 } from '../hub.ts'
import { realModel } from '../real-host.ts'
import { writeTinyModel } from '../tiny-models.ts'
import { ask } from '../web/browser.ts'
import { becomeAdmin, becomeUser } from './admins.ts'
import { languages, tour } from './tour.ts'
import { wordsOf } from './words.ts'

const folder = await mkdtemp(join(tmpdir(), 'simpleia-tour-models-'))
const content = await readFile(await writeTinyModel('llama', folder))
const names = languages.flatMap((language) => [`tale-wide-${language}`, `tale-phone-${language}`])
const gate = createGate()
const hub = await openHub({
  repositories: Object.fromEntries(names.map((name) => [`acme/${name}`, { [`${name}.gguf`]: content }])),
  fault: gate.fault,
})
afterAll(async () => {
  hub.close()
  await rm(folder, { recursive: true })
})

/** A line that brings half of a file piece by piece, and then no more, until it is open. */
function createGate() {
  let isOpen = true
  const pieces = 20
  const fault: Fault = ({ kind }, response, bytes) => {
    if (kind !== 'cdn' || isOpen) return false
    response.writeHead(200, { 'content-length': bytes.length, etag: `"${sha256(bytes)}"` })
    const length = Math.floor(bytes.length / 2 / pieces)
    let sent = 0
    const line = setInterval(() => {
      if (sent === pieces || response.destroyed) return clearInterval(line)
      response.write(bytes.subarray(sent * length, (sent + 1) * length))
      sent += 1
    }, 50)
    return true
  }
  return {
    fault,
    set(state: 'open' | 'closed') {
      isOpen = state === 'open'
    },
  }
}

tour(
  'models',
  { settings: { HF_ENDPOINT: hub.endpoint }, timeoutMs: 240_000 },
  async ({ page, language, size, username, service, show }) => {
    const say = wordsOf(texts, language)
    const name = `tale-${size}-${language}`
    const repository = `acme/${name}`
    const card = (model: string) => page.locator(`[data-model=${JSON.stringify(model)}]`)
    const button = (action: keyof typeof texts, model: string) =>
      page.getByRole('button', { name: say('ofModel', { action: say(action), name: model }), exact: true })
    const open = () => page.goto(`${service.baseUrl}/#/models`)

    await becomeUser(page, service, username)
    await open()
    await card(realModel).getByText(say('selected')).waitFor()
    await show('user')
    expect([...new Set(await page.locator('#content button').allInnerTexts())]).toEqual([say('report')])

    await becomeAdmin(page, service)
    await page.getByText(say('add')).waitFor()
    await page.locator('summary').focus()
    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    await page.keyboard.type(name)
    await page.keyboard.press('Enter')
    await page.getByText(say('owner')).waitFor()
    await show('wrong-name')
    gate.set('closed')
    await page.getByLabel(say('hubName')).fill(repository)
    await page.keyboard.press('Enter')
    const pulls = page.locator('section', { has: page.getByRole('heading', { name: say('pulls') }) })
    await pulls.getByText(/[1-5]\d\s?%/).waitFor()
    await show('download')
    await pulls.getByRole('button', { name: say('stopPull', { name: repository }) }).click()
    await pulls.getByText(say('pullStopped')).waitFor()
    await show('stopped')
    gate.set('open')
    await pulls.getByRole('button', { name: say('goOnPull', { name: repository }) }).click()
    await pulls.getByText(say('pullDone', { name })).waitFor()
    // What had arrived did not come again.
    expect(hub.of('cdn').at(-1)?.range).toMatch(new RegExp(`^bytes=[1-9]\\d+-${content.length - 1}$`))
    await pulls.getByRole('button', { name: say('ofModel', { action: say('hide'), name: repository }) }).click()

    await button('load', name).press('Enter')
    await card(name).getByText(say('unload')).waitFor()
    await page.locator('.memory li', { hasText: name }).waitFor()
    expect(await page.evaluate("document.activeElement.getAttribute('aria-label')")).toBe(
      say('ofModel', { action: say('unload'), name }),
    )
    await show('loaded')
    await chatWith(page, name, language)
    await show('answer')
    await open()
    await button('unload', name).press('Enter')
    await card(name).getByText(say('unloaded')).waitFor()
    await page.locator('.memory li', { hasText: name }).waitFor({ state: 'detached' })

    // Measuring the real model takes its time: once is enough.
    const [original, quantization] = size === 'wide' && language === 'en' ? [realModel, 'Q2_K'] : [name, 'Q8_0']
    const agreement = say('agreement').split('{share}')[1] ?? ''
    const small = `small-${size}-${language}`
    await button('quantize', original).press('Enter')
    const dialog = page.locator('dialog')
    await dialog.getByLabel(say('quantization')).selectOption(quantization)
    await dialog.getByLabel(say('newName')).fill(small)
    await show('quantize')
    await dialog.getByRole('button', { name: say('start') }).press('Enter')
    await page.getByText(say('jobHint')).or(page.getByText(agreement)).first().waitFor()
    await page.locator('section:focus', { has: page.locator('#job-title') }).waitFor()
    await show('quantizing')
    await page.getByText(agreement).waitFor({ timeout: 200_000 })
    await show('quantized')
    await page.getByRole('button', { name: say('hide'), exact: true }).click()
    await button('report', small).click()
    await dialog.getByRole('table').waitFor()
    await show('report')
    await page.keyboard.press('Escape')

    for (const model of [small, name]) {
      await button('remove', model).press('Enter')
      if (model === small) await show('delete')
      await dialog.getByRole('button', { name: say('removeNow') }).press('Enter')
      await card(model).waitFor({ state: 'detached' })
      await page.locator('h1:focus').waitFor()
    }
  },
)

/** In a conversation of its own, chosen by keyboard. */
async function chatWith(page: Page, model: string, language: (typeof languages)[number]): Promise<void> {
  const say = wordsOf(pickerTexts, language)
  await page.goto(page.url().replace(/#.*/, '#/'))
  await page.locator('.welcome').waitFor()
  const picker = page.getByRole('button', { name: say('model', { name: realModel }) })
  await picker.press('Enter')
  const list = page.getByRole('dialog', { name: say('chooseModel') })
  // It takes the focus once it is open.
  await list.locator(':focus').waitFor()
  await list.locator('.choice', { hasText: model }).press('Enter')
  await page.getByRole('button', { name: say('model', { name: model }), exact: true }).waitFor()
  await ask(page, 'Hi')
  expect(await page.locator('article.answer').first().textContent()).toContain(model)
}
