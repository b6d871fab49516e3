import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { afterAll, expect, onTestFinished } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { scriptedScoring } from '../evaluation-world.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { ggufBytes } from '../gguf-bytes.ts'
import { writeTinyModel } from '../tiny-models.ts'
import { endOf, epochOf, plan, type ScriptedTrainer, scriptedTrainers, stepOf } from '../trainer.ts'
import { noIncidents } from './browser.ts'
import { openApp, webTest } from './open-app.ts'
import { openUnsteadyProxy } from './unsteady-proxy.ts'
import { payloads } from './xss-payloads.ts'

const adapter = ggufBytes({
  metadata: { 'general.architecture': 'llama', 'general.type': 'adapter', 'adapter.type': 'lora', 'adapter.lora.alpha': 32 },
  tensors: [
    { name: 'blk.0.attn_q.weight.lora_a', shape: [64, 4], bytes: 64 * 4 * 4 },
    { name: 'blk.0.attn_q.weight.lora_b', shape: [4, 64], bytes: 64 * 4 * 4 },
  ],
})
const shared = await mkdtemp(join(tmpdir(), 'simpleia-train-page-'))
afterAll(() => rm(shared, { recursive: true }))
const tinyModel = writeTinyModel('llama', shared)

const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')
const chat = (question: string, answer: string) => ({
  messages: [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ],
})
const topics = ['Rome', 'salt', 'tides', 'bread', 'glass', 'bees', 'chess', 'iron', 'wool', 'Mars', 'ink', 'maps']
const facts = topics.map((topic, at) => chat(`Tell me about ${topic}, number ${at * 7919}`, `${topic} is ${at ** 5}`))

/** The service with three models, an admin who is signed in, and a trainer and a scorer that do what the test says. */
async function openTraining({ locale = 'en', viewport = { width: 1280, height: 800 } } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-train-page-'))
  const modelsDir = join(folder, 'models')
  await mkdir(modelsDir)
  await copyFile(await tinyModel, join(modelsDir, 'tiny.gguf'))
  await copyFile(await tinyModel, join(modelsDir, 'other.gguf'))
  const { start, trainers } = scriptedTrainers()
  const host = createFakeEngine({
    answer: (prompt: string) => ({ pieces: [prompt.includes('Rome') ? 'Rome is 0' : 'No idea'] }),
    models: ['tiny', 'other', 'tiny+facts-1'],
  })
  const options = { host, startTrainer: start, runScoring: scriptedScoring(), settings: { MODELS_DIR: modelsDir, THREADS: '2' } }
  const { page, server, incidents } = await openApp(options, { locale, viewport })
  onTestFinished(async () => {
    for (const trainer of trainers) trainer.fail(new AppError('aborted', 'The test is over.'))
    await rm(folder, { recursive: true, force: true })
  })
  const token = await server.login('root')
  const send = async (method: string, path: string, body?: object) => {
    const headers = { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }
    const response = await fetch(`${server.url}${path}`, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) })
    return response.status === 204 ? undefined : JSON.parse(await response.text())
  }
  const password = 'root-has-a-long-password'
  await page.request.post(`${server.url}/auth/login`, { data: { username: 'root', password } })
  const open = async (path: string) => {
    await page.goto(`${server.url}/#/${path}`)
    await page.reload()
    await page.locator('h1').waitFor()
  }
  const trainer = async (count = 1): Promise<ScriptedTrainer> => {
    while (trainers.length < count) await setImmediate()
    const last = trainers[count - 1]
    if (last === undefined) throw new Error('There is no such process.')
    return last
  }
  const finish = async (one: ScriptedTrainer, step = 10) => {
    const file = join(one.job.folder, 'adapter.gguf')
    await writeFile(file, adapter)
    one.send(endOf('completed', step, file))
  }
  return { page, server, incidents, send, open, trainer, finish, url: server.url }
}

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })
const shown = (page: Page, text: string | RegExp) => page.getByText(text).first().waitFor()

webTest('training says that it is for admins, and is there for them after they sign in', async () => {
  const { page, server } = await openApp({ host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }) })
  await server.login('root')
  await page.goto(`${server.url}/#/training/runs`)
  await shown(page, 'this page is for admins')
  await button(page, 'Sign in as an admin').click()
  await page.locator('#username').fill('root')
  await page.locator('#password').fill('root-has-a-long-password')
  await page.locator('dialog button.main').click()
  await page.getByRole('heading', { level: 2, name: 'Runs' }).waitFor()
  await page.getByRole('link', { name: 'Datasets' }).click()
  // The heading of where one has gone has the focus.
  await page.locator('h2:focus', { hasText: 'Datasets' }).waitFor()
  expect(await page.getByRole('link', { name: 'Datasets' }).getAttribute('aria-current')).toBe('page')
})

webTest('a dataset of a file is shown before it is made, with what is left out and flagged, and no text of it runs', async () => {
  const { page, open, incidents, send } = await openTraining()
  await open('training/datasets/new')
  await button(page, 'From a file').click()
  const rows = [...facts, facts[0] ?? {}, chat('My key?', 'sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD')]
  const attacks = payloads.map((payload, at) => chat(`${payload} ${at}`, `${payload} ${at * 31}`))
  const content = `${lines(rows)}{"broken\n${lines(attacks)}`
  await page.locator('input[type=file]').setInputFiles({ name: 'my facts.jsonl', mimeType: '', buffer: Buffer.from(content) })
  expect(await page.getByLabel('Name').inputValue()).toBe('my-facts')
  await button(page, 'Preview').click()
  const preview = page.locator('section').filter({ hasText: 'What the dataset would be' })
  await preview.waitFor()
  const text = await preview.textContent()
  for (const words of ['Broken JSON', 'Duplicate', 'Secret: API key', '15: ', 'Tell me about salt']) expect(text).toContain(words)
  expect((await send('GET', '/datasets')).items).toEqual([])
  // What was shown holds for what was asked alone.
  await page.getByLabel('Near-duplicate').check()
  await preview.waitFor({ state: 'detached' })
  await page.getByLabel('Near-duplicate').uncheck()
  await button(page, 'Preview').click()
  await button(page, 'Create the dataset').click()
  await page.getByRole('heading', { level: 2, name: 'my-facts:1' }).waitFor()
  await page.getByRole('heading', { name: 'Rows' }).waitFor()
  for (const count of [20, 40]) {
    await expect.poll(() => page.locator('ol > li').count()).toBe(count)
    await button(page, 'Show more').click()
  }
  await expect.poll(() => page.locator('ol').textContent()).toContain(payloads.at(-1))
  expect(await button(page, 'Show more').count()).toBe(0)
  await page.getByLabel('Part', { exact: true }).selectOption('held-out')
  await expect
    .poll(() => page.locator('ol > li').allTextContents())
    .toEqual(expect.arrayContaining([expect.stringContaining('held out')]))
  await expect.poll(() => page.locator('ol > li').filter({ hasText: '· to learn from' }).count()).toBe(0)
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Export' }).click()])
  expect(download.suggestedFilename()).toBe('my-facts-1.jsonl')
  await button(page, 'Delete').click()
  await page.locator('dialog').getByRole('button', { name: 'Delete' }).click()
  await shown(page, 'There is no dataset yet.')
  expect(incidents).toEqual(noIncidents)
})

webTest('a dataset of feedback is shown with what is left out and why', async () => {
  const { page, open, send } = await openTraining()
  const ask = async (prompt: string) => (await send('POST', '/predict', { prompt })).id
  await send('POST', '/feedback', { prediction_id: await ask('One?'), rating: 'down', correction: 'Two', tags: ['maths'] })
  await send('POST', '/feedback', { prediction_id: await ask('Three?'), rating: 'down' })
  await open('training')
  await shown(page, 'Make a dataset of the feedback that is there.')
  await page.getByRole('link', { name: 'Make a dataset' }).click()
  await button(page, 'Preview').click()
  await shown(page, 'Of 2 pieces of feedback on remembered answers, 1 are used.')
  await shown(page, 'Disliked, and nobody wrote a better one')
  await page.getByLabel('Rating').selectOption('up')
  await button(page, 'Preview').click()
  await shown(page, 'Nothing in this can be learned from.')
  await page.getByLabel('Rating').selectOption('')
  await page.getByLabel('Tags').fill('maths')
  await button(page, 'Preview').click()
  await button(page, 'Create the dataset').click()
  await page.getByRole('heading', { level: 2, name: 'feedback:1' }).waitFor()
  expect((await send('GET', '/datasets/feedback')).origin).toMatchObject({ method: 'sft', tags: ['maths'] })
})

webTest('a run is planned, started, watched, paused, resumed and finished', async () => {
  const { page, open, send, trainer, finish, incidents } = await openTraining()
  await send('POST', '/datasets', { name: 'facts', rows: facts })
  await open('training/runs/new')
  await shown(page, /about \d/)
  expect(await page.getByLabel('Name').getAttribute('placeholder')).toBe('facts-1')
  await page.getByText('More settings').click()
  const epochs = page.getByLabel('Epochs')
  await epochs.fill('2')
  await shown(page, 'at most 6')
  await page.getByLabel('Rank').fill('9999')
  await button(page, 'Start the run').click()
  // The browser holds it back: it is out of the schema's bounds.
  expect(await page.locator('input:invalid').count()).toBe(1)
  await page.getByLabel('Rank').fill('')
  await button(page, 'Start the run').click()
  await page.getByRole('heading', { level: 2, name: 'facts-1' }).waitFor()
  const first = await trainer()
  expect(first.job.parameters).toMatchObject({ epochs: 2, rank: 16 })
  first.send(plan, ...[1, 2, 3, 4, 5].map((step) => stepOf(step)), epochOf(1))
  await page.getByRole('img', { name: /Loss by step: 10 at the beginning, 2 at step 5/ }).waitFor()
  await page.getByText('Loss by epoch, as a table').click()
  await expect.poll(() => page.locator('table tbody td').allTextContents()).toEqual(['1', '5', '2', '3'])
  await page.getByLabel('Logarithmic').check()
  await shown(page, 'It learns.')
  await button(page, 'Pause').click()
  first.send(endOf('stopped', 5))
  await shown(page, 'It is paused with a checkpoint')
  await button(page, 'Go on').click()
  const second = await trainer(2)
  second.send({ type: 'train-resume', step: 3 }, stepOf(4, { loss: 0.5 }), stepOf(5, { loss: 0.25 }))
  await page.getByRole('img', { name: /0.25 at step 5/ }).waitFor()
  await finish(second)
  await shown(page, 'It is done, and answers as tiny+facts-1.')
  await page.getByRole('link', { name: 'Compare it with what is in use' }).waitFor()
  expect(incidents).toEqual(noIncidents)
})

webTest('the loss stays shown while the connection is lost, and goes on without a gap', async () => {
  const { page, server, send, trainer, finish } = await openTraining()
  const way = await openUnsteadyProxy(server.port)
  await send('POST', '/datasets', { name: 'facts', rows: facts })
  await page.goto(`${way.url}/#/training/runs/new`)
  await shown(page, /about \d/)
  await button(page, 'Start the run').click()
  await page.getByRole('heading', { level: 2, name: 'facts-1' }).waitFor()
  const run = await trainer()
  run.send(plan, ...[1, 2, 3].map((step) => stepOf(step)))
  await page.getByRole('img', { name: /at step 3/ }).waitFor()
  way.set('down')
  await shown(page, /connection/i)
  run.send(stepOf(4), stepOf(5))
  expect(await page.getByRole('img', { name: /at step 3/ }).count()).toBe(1)
  way.set('pass')
  await page.getByRole('img', { name: /Loss by step: 10 at the beginning, 2 at step 5/ }).waitFor()
  expect(await page.getByText(/connection/i).count()).toBe(0)
  await finish(run)
  await shown(page, 'It is done, and answers as tiny+facts-1.')
})

webTest('a run that fails says what to do, in Spanish too, and on a phone nothing is wider than the page', async () => {
  const { page, open, send, trainer } = await openTraining({ locale: 'es', viewport: { width: 390, height: 844 } })
  await send('POST', '/datasets', { name: 'facts', rows: facts })
  const { id } = await send('POST', '/training/runs', {})
  await open(`training/runs/${id}`)
  const process = await trainer()
  process.send(plan, stepOf(1))
  process.fail(new AppError('unprocessable', 'NaN at step 2'))
  await shown(page, 'Los números se salieron de rango.')
  await shown(page, 'El servicio dice (en inglés): NaN at step 2')
  expect(await button(page, 'Continuar').count()).toBe(0)
  for (const path of ['', '/datasets', '/datasets/new', '/runs', '/runs/new', '/evaluations/new', '/rollouts/new']) {
    await open(`training${path}`)
    await expect.poll(() => page.getByText('Cargando…').count()).toBe(0)
    const wider = await page.evaluate("document.querySelector('#content').scrollWidth - innerWidth")
    expect([path, wider]).toEqual([path, 0])
  }
})

webTest('a gate is started from a run, and its report says in words and marks what differs', async () => {
  const { page, open, send, trainer, finish, incidents } = await openTraining()
  await send('POST', '/datasets', { name: 'facts', rows: facts })
  const { id } = await send('POST', '/training/runs', {})
  const process = await trainer()
  process.send(plan, stepOf(1), epochOf(1))
  await finish(process)
  await expect.poll(async () => (await send('GET', `/training/runs/${id}`)).state).toBe('completed')
  await open(`training/evaluations/new/${id}`)
  await expect.poll(() => page.getByLabel('Candidate').inputValue()).toBe('tiny+facts-1')
  await page.getByText('Thresholds').click()
  await page.getByLabel('Exact answers may fall by, points').fill('')
  await button(page, 'Compare').click()
  await page.getByRole('heading', { level: 2, name: 'tiny+facts-1 against tiny' }).waitFor()
  await page.getByRole('heading', { name: /Verdict/ }).waitFor()
  const verdict = await page.locator('.verdict').textContent()
  expect(verdict).toContain('Forgetting')
  expect(verdict).not.toContain('Exact answers')
  await page.getByRole('heading', { name: 'Examples' }).waitFor()
  await page.getByLabel('Show', { exact: true }).selectOption('changed')
  await shown(page, 'No example is like that.')
  await page.getByLabel('Show', { exact: true }).selectOption('all')
  await button(page, 'Show more').click()
  await expect.poll(() => page.locator('ol > li').count()).toBe(20)
  await button(page, 'Delete').click()
  await page.locator('dialog').getByRole('button', { name: 'Delete' }).click()
  await shown(page, 'Nothing was compared yet.')
  expect(incidents).toEqual(noIncidents)
})

webTest('a rollout is started with a share, changed, promoted after a question, and taken back', async () => {
  const { page, open, send, incidents } = await openTraining()
  await open('training/rollouts/new/other')
  await expect.poll(() => page.getByLabel('In use now').inputValue()).toBe('tiny')
  await page.getByLabel('Share of other as a number, %').fill('25')
  await shown(page, 'tiny answers 75 % of the conversations.')
  await page.getByLabel('With a rule').check()
  await button(page, 'Start the rollout').click()
  await page.getByRole('heading', { level: 2, name: 'Rollout of default' }).waitFor()
  await shown(page, 'There are too few ratings to say anything about other.')
  const [started] = (await send('GET', '/rollout')).items
  expect(started).toMatchObject({ arms: [{ share: 75 }, { share: 25 }], rule: { min_ratings: 50, promote_when: 'better' } })
  const slider = page.getByRole('slider', { name: 'Share of other, %' })
  await slider.focus()
  await page.keyboard.press('ArrowRight')
  await shown(page, 'tiny answers 74 % of the conversations.')
  await button(page, 'Change the shares').click()
  await expect.poll(async () => (await send('GET', '/rollout')).items[0].arms[1].share).toBe(26)
  await shown(page, 'The shares are changed.')
  // Somebody else changes it meanwhile.
  await slider.focus()
  await page.keyboard.press('ArrowRight')
  await send('PATCH', `/rollout/${started.id}`, {
    arms: [
      { model: 'tiny', share: 50 },
      { model: 'other', share: 50 },
    ],
  })
  await button(page, 'Change the shares').click()
  await shown(page, 'Somebody has changed the rollout meanwhile.')
  await button(page, 'Promote').click()
  await page.locator('dialog').getByRole('button', { name: 'Promote' }).click()
  await button(page, 'Undo the promotion').click()
  expect((await send('GET', '/model')).model_name).toBe('other')
  await page.locator('dialog').getByRole('button', { name: 'Roll back' }).click()
  await page.locator('.state').filter({ hasText: 'rolled back' }).waitFor()
  await expect.poll(() => page.locator('section').filter({ hasText: 'What was done' }).locator('tbody tr').count()).toBe(5)
  expect(incidents).toEqual(noIncidents)
})
