import { writeFileSync } from 'node:fs'
import { access, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import type { ToQuantizer } from '../../src/engine/local/quantize-protocol.ts'
import type { HostedModel, ModelHost } from '../../src/engine/provider.ts'
import type { FromMerger, ToMerger } from '../../src/engine/train/merge-protocol.ts'
import { createFakeEngine, listed } from '../fake-engine.ts'
import { ggufBytes } from '../gguf-bytes.ts'
import { createGate, startHub } from '../hub.ts'
import { measurement, scriptedProcesses, scriptedQuantizers } from '../quantizer.ts'
import { content, file, repository } from '../unit/pull-world.ts'
import { expectAccessible } from './accessible.ts'
import { noIncidents, signIn } from './browser.ts'
import { openApp, webTest } from './open-app.ts'
import { payloads } from './xss-payloads.ts'

/** Chat models of which `broken` cannot be loaded, an adapter on the first one, and an embedding model. */
function createHost(names: readonly string[] = ['first', 'second', 'broken']): ModelHost {
  const engine = createFakeEngine({ answer: () => ({ pieces: ['a'] }), models: names })
  return {
    ...engine,
    async list() {
      const models = await engine.list()
      const [first] = models.filter(({ name }) => name === names[0])
      if (first === undefined) return models
      const idle = { ...first, selected: false, state: 'unloaded', info: undefined } as const satisfies HostedModel
      const others: readonly HostedModel[] = [
        { ...idle, ...listed('mine'), kind: 'adapter' },
        { ...idle, ...listed('words'), kind: 'embedding' },
        { ...first, name: `${first.name}+mine`, base: first.name, selected: false },
      ]
      return [...models, ...others]
    },
  }
}

async function openModels(options: Partial<Parameters<typeof openApp>[0]> = {}, context: Parameters<typeof openApp>[1] = {}) {
  const app = await openApp({ host: createHost(), ...options }, context)
  const modelsDir = options.settings?.MODELS_DIR ?? join(app.server.dataDir, 'models')
  await mkdir(modelsDir, { recursive: true })
  const become = async (username: string, register = true) => {
    await app.page.getByRole('button', { name: 'Sign in' }).click()
    await signIn(app.page, username, { register })
  }
  await app.page.goto(`${app.server.url}/#/models`)
  return { ...app, modelsDir, become }
}

const card = (page: Page, name: string) => page.locator(`[data-model=${JSON.stringify(name)}]`)
const act = (page: Page, action: string, name: string) => page.getByRole('button', { name: `${action} ${name}`, exact: true })
const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

webTest('everybody sees what is installed and what answers; only admins can change it', async () => {
  const { page, become, server, incidents } = await openModels()
  await server.login('root')
  await expect.poll(() => card(page, 'first').textContent()).toContain('answers by default')
  expect(await card(page, 'first').textContent()).toContain('In memory')
  expect(await card(page, 'second').textContent()).toContain('Not in memory')
  expect(await page.locator('[data-model="first"] [data-model="first+mine"]').textContent()).toContain('+ mine')
  expect(await card(page, 'words').textContent()).toContain('embeddings')
  const names = () => page.locator('#content button').allTextContents()
  expect((await names()).map((name) => name.trim())).toEqual(Array(3).fill('Quality report'))
  await become('luis')
  expect(await page.getByText('Add a model').count()).toBe(0)
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('button', { name: 'Sign in' }).click()
  await signIn(page, 'root')
  await page.goto(`${server.url}/#/models`)
  await page.getByText('Add a model').waitFor()
  expect(await act(page, 'Merge…', 'first+mine').count()).toBe(1)
  expect(incidents).toEqual(noIncidents)
})

webTest('a model is loaded, chosen for everybody and taken out of memory; one that cannot be says why', async () => {
  const { page, become } = await openModels()
  await become('root')
  await act(page, 'Load', 'second').click()
  await expect.poll(() => card(page, 'second').textContent()).toContain('In memory')
  await act(page, 'Use for everybody', 'second').click()
  await expect.poll(() => card(page, 'second').textContent()).toContain('answers by default')
  expect(await card(page, 'first').textContent()).not.toContain('answers by default')
  await act(page, 'Take out of memory', 'second').click()
  await expect.poll(() => card(page, 'second').textContent()).toContain('Not in memory')
  await act(page, 'Use for everybody', 'broken').click()
  await card(page, 'broken').getByRole('alert').waitFor()
  expect(await card(page, 'broken').getByRole('alert').textContent()).toContain('is cut off')
  expect(await card(page, 'second').textContent()).toContain('answers by default')
})

webTest('a deletion says what goes, and a refusal why; the keyboard is not lost with the model', async () => {
  const { page, become, modelsDir } = await openModels()
  for (const name of ['first', 'second']) await writeFile(join(modelsDir, `${name}.gguf`), 'GGUF')
  await become('root')
  await act(page, 'Delete…', 'first').click()
  const dialog = page.locator('dialog')
  expect(await dialog.textContent()).toContain('Its files go from the disk: 1 byte')
  expect(await dialog.textContent()).toContain('need it to answer: mine')
  await dialog.getByRole('button', { name: 'Delete' }).click()
  await dialog.getByRole('alert').waitFor()
  expect(await dialog.getByRole('alert').textContent()).toContain('It answers by default.')
  await page.keyboard.press('Escape')
  expect(await isThere(join(modelsDir, 'first.gguf'))).toBe(true)
  await act(page, 'Delete…', 'second').click()
  await dialog.getByRole('button', { name: 'Delete' }).click()
  await dialog.waitFor({ state: 'hidden' })
  await expect.poll(() => isThere(join(modelsDir, 'second.gguf'))).toBe(false)
  await page.getByText('second was deleted.').waitFor()
  await page.locator('h1:focus').waitFor()
})

webTest('a dialog that opens while another one closes stays open', async () => {
  const { page, become } = await openModels()
  await become('root')
  await act(page, 'Delete…', 'first').click()
  await page.locator('dialog').waitFor()
  await page.evaluate(`(() => {
    const other = document.querySelector('[aria-label="Quantize… first"]')
    document.querySelector('dialog button.icon').click()
    other.click()
  })()`)
  await page.getByLabel('Quantization').waitFor()
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))')
  expect(await page.locator('dialog').count()).toBe(1)
})

webTest('a download is seen by all admins, survives a reload, can be stopped and goes on', async () => {
  const gate = createGate()
  const hub = await startHub({ repositories: { [repository]: { [file]: content } }, fault: gate.fault })
  const { page, become, incidents } = await openModels({ settings: { HF_ENDPOINT: hub.endpoint } })
  await become('root')
  await page.locator('summary').click()
  const name = page.getByLabel('Name on the Hugging Face hub')
  await name.fill('nobody')
  await name.press('Enter')
  expect(await page.locator('#hub-problem').textContent()).toContain('The owner is missing')
  expect(hub.requests).toEqual([])
  await name.fill(repository)
  await name.press('Enter')
  const pulls = page.locator('section', { has: page.getByRole('heading', { name: 'Downloads' }) })
  await pulls.getByText(repository, { exact: true }).waitFor()
  await page.reload()
  await pulls.getByRole('button', { name: `Stop the download of ${repository}` }).click()
  await pulls.getByText('Stopped. What has arrived is kept.').waitFor()
  gate.open()
  await pulls.getByRole('button', { name: `Go on with the download of ${repository}` }).click()
  await pulls.getByText('Installed as Some-Model-Q4_K_M.').waitFor()
  await pulls.getByRole('button', { name: 'Hide' }).click()
  await pulls.waitFor({ state: 'hidden' })
  expect(incidents).toEqual(noIncidents)
})

webTest('a model that the hub does not have is said to be missing, and what was typed stays', async () => {
  const hub = await startHub({ repositories: {} })
  const { page, become } = await openModels({ settings: { HF_ENDPOINT: hub.endpoint } })
  await become('root')
  await page.locator('summary').click()
  const name = page.getByLabel('Name on the Hugging Face hub')
  await name.fill('owner/nothing')
  await name.press('Enter')
  const alert = page.locator('details').getByRole('alert')
  await alert.waitFor()
  expect(await alert.textContent()).toContain('The hub has no such model')
  expect(await name.inputValue()).toBe('owner/nothing')
})

webTest('where nothing may leave the machine the form says so', async () => {
  const { page, become } = await openModels({ settings: { LOCAL_ONLY: 'true' } })
  await become('root')
  await page.locator('summary').click()
  await page.getByText('Downloads are closed').waitFor()
  expect(await page.getByLabel('Name on the Hugging Face hub').count()).toBe(0)
})

function* writes(message: ToQuantizer) {
  if (message.type !== 'quantize-start') throw new Error('This process is to quantize.')
  writeFileSync(message.job.target, 'GGUF made')
  yield { type: 'tensor-progress', tensor: 1, tensors: 2 } as const
  yield { type: 'quantize-end', fallbackTensors: 0 } as const
}

webTest('a model is quantized, measured, and its report read in words, then and later', async () => {
  const measures = () => [{ type: 'measure-end', measurement } as const]
  const { spawn } = scriptedQuantizers(writes, measures)
  const host = createHost(['big-f16'])
  const { page, become, modelsDir, incidents } = await openModels({ host, spawnQuantizer: spawn })
  await writeFile(join(modelsDir, 'big-f16.gguf'), 'GGUF')
  await become('root')
  await act(page, 'Quality report', 'big-f16').click()
  await page.locator('dialog').getByText('It was not measured').waitFor()
  await page.keyboard.press('Escape')
  await act(page, 'Quantize…', 'big-f16').click()
  const dialog = page.locator('dialog')
  await dialog.getByLabel('Quantization').selectOption('Q8_0')
  await dialog.getByRole('button', { name: 'Start' }).click()
  await page.getByText('big-q8_0 is there').waitFor()
  expect(await page.locator('#content').textContent()).toContain('Very near the original')
  expect(await page.locator('#content').textContent()).toContain('In 95% of the places')
  expect(incidents).toEqual(noIncidents)
})

webTest('a quantization goes on while other pages are looked at, and stops when it is told to', async () => {
  const { spawn, killed } = scriptedQuantizers(() => [{ type: 'tensor-progress', tensor: 3, tensors: 9 }])
  const { page, become, modelsDir, server } = await openModels({ host: createHost(['big-f16']), spawnQuantizer: spawn })
  await writeFile(join(modelsDir, 'big-f16.gguf'), 'GGUF')
  await become('root')
  await act(page, 'Quantize…', 'big-f16').click()
  await page.locator('dialog').getByRole('button', { name: 'Start' }).click()
  await page.getByText('Writing: 3 of 9 tensors').waitFor()
  await page.goto(`${server.url}/#/documents`)
  const listed = page.waitForResponse((response) => response.url().endsWith('/models/jobs'))
  await page.goto(`${server.url}/#/models`)
  expect(await (await listed).json()).toMatchObject({ items: [{ state: 'running' }] })
  await page.getByText('Writing: 3 of 9 tensors').waitFor()
  expect(await page.getByText('Being made elsewhere').count()).toBe(0)
  expect(killed).toEqual([false])
  await page.getByRole('button', { name: 'Stop the work' }).click()
  await page.getByText('Stopped.').waitFor()
  await expect.poll(() => killed).toEqual([true])
})

webTest('a model that is made elsewhere is seen, also after a reload, and can be stopped', async () => {
  const { spawn, killed } = scriptedQuantizers(() => [{ type: 'tensor-progress', tensor: 3, tensors: 9 }])
  const { page, become, modelsDir, server, incidents } = await openModels({
    host: createHost(['big-f16']),
    spawnQuantizer: spawn,
  })
  await writeFile(join(modelsDir, 'big-f16.gguf'), 'GGUF')
  await become('root')
  const leaving = new AbortController()
  const asked = fetch(`${server.url}/models/quantize`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await server.login('root')}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'big-f16', quantization: 'Q8_0' }),
    signal: leaving.signal,
  })
  const makings = page.locator('section', { has: page.getByRole('heading', { name: 'Being made elsewhere' }) })
  await page.reload()
  await makings.getByText('Writing: 3 of 9 tensors').waitFor()
  expect(await makings.getByRole('progressbar', { name: 'Quantizing big-f16' }).getAttribute('value')).toBe('3')
  await expectAccessible(page, 'a model that is made elsewhere')
  await page.evaluate("localStorage.setItem('language', 'es')")
  await page.reload()
  const stop = page.getByRole('button', { name: 'Detener el trabajo con big-f16' })
  await page.getByText('Escribiendo: 3 de 9 tensores').waitFor()
  await stop.click()
  await page.locator('li', { hasText: 'Detenido.' }).waitFor()
  await page.locator('h2:focus', { hasText: 'Se están haciendo en otra parte' }).waitFor()
  await expect.poll(() => killed).toEqual([true])
  await page.getByRole('button', { name: 'Ocultar big-f16' }).click()
  await stop.waitFor({ state: 'hidden' })
  leaving.abort()
  await asked.catch(() => {})
  expect(incidents).toEqual(noIncidents)
})

webTest('an adapter and its base become one model', async () => {
  const mergers = scriptedProcesses<ToMerger, FromMerger>(function* ({ job }) {
    writeFileSync(job.target, 'GGUF merged')
    yield { type: 'tensor-written', done: 1, total: 1, bytes: 1 }
    yield { type: 'merge-end' }
  })
  const { spawn, jobs } = scriptedQuantizers(writes)
  const parts = { host: createHost(['big-q8_0']), spawnQuantizer: spawn, spawnMerger: mergers.spawn }
  const { page, become, modelsDir } = await openModels(parts)
  const tensors = [{ name: 'output.weight', shape: [32], bytes: 128 }]
  const metadata = { 'general.architecture': 'llama', 'general.file_type': 7 }
  await writeFile(join(modelsDir, 'big-q8_0.gguf'), ggufBytes({ metadata, tensors }))
  await writeFile(join(modelsDir, 'mine.gguf'), 'GGUF')
  await become('root')
  await act(page, 'Merge…', 'big-q8_0+mine').click()
  const dialog = page.locator('dialog')
  expect(await dialog.getByLabel('Quantization').locator('option', { hasText: 'IQ2' }).count()).toBe(0)
  await dialog.getByLabel('Quantization').selectOption('F16')
  await dialog.getByRole('button', { name: 'Start' }).click()
  await page.getByText('big-mine-f16 is there').waitFor()
  expect(jobs).toMatchObject([{ job: { quantization: 'F16' } }])
})

webTest('names of models are text, whatever they hold', async () => {
  const { page, become, incidents } = await openModels({ host: createHost(payloads) })
  await become('root')
  await expect.poll(() => page.locator('#content h3').count()).toBeGreaterThanOrEqual(payloads.length)
  const shown = await page.locator('#content h3').allTextContents()
  expect(payloads.filter((payload) => !shown.includes(payload))).toEqual([])
  expect(incidents).toEqual(noIncidents)
})
