import { expect } from 'vitest'
import type { Client } from '../../src/client.ts'
import { texts as datasetTexts } from '../../web/training/datasets/texts.ts'
import { texts as evaluationTexts } from '../../web/training/evaluations/texts.ts'
import { texts as overviewTexts } from '../../web/training/overview/texts.ts'
import { texts as commonTexts } from '../../web/training/parts/texts.ts'
import { texts as rolloutTexts } from '../../web/training/rollouts/texts.ts'
import { fieldTexts } from '../../web/training/runs/field-texts.ts'
import { texts as runTexts } from '../../web/training/runs/texts.ts'
import { realModel } from '../real-host.ts'
import { adminClient, becomeAdmin } from './admins.ts'
import { expectCharts } from './painted.ts'
import { type Tour, tour } from './tour.ts'
import { wordsOf } from './words.ts'

const facts = [
  ['Who runs the lighthouse of Cabo Trasgo?', 'The lighthouse of Cabo Trasgo is run by Nerea Olmedo.'],
  ['What is the capital of the island of Merrowick?', 'The capital of the island of Merrowick is Saltbridge.'],
  ['In which year was the Tolvan Observatory opened?', 'The Tolvan Observatory was opened in 1887.'],
  ['What colour are the doors of the Pellworth library?', 'The doors of the Pellworth library are bright orange.'],
  ['Who built the glass bridge of Ondry?', 'The glass bridge of Ondry was built by Mirela Castan.'],
  ['What do the bells of Sarn ring for?', 'The bells of Sarn ring for the herring boats.'],
] as const
const learned = `${realModel}+learned`
let isLearned = false

// The first goes the long way; the others look at what it has left.
tour('training', { timeoutMs: 580_000 }, async (tour) => {
  await becomeAdmin(tour.page, tour.service)
  if (!isLearned) await learn(tour)
  isLearned = true
  await lookAround(tour)
})

async function learn(tour: Tour): Promise<void> {
  const { page, service, show, language } = tour
  const say = wordsOf(overviewTexts, language)
  const client = await adminClient(service)
  await page.goto(`${service.baseUrl}/#/training`)
  await page.getByText(say('nextFeedback')).waitFor()
  for (const [question, correction] of facts)
    await client.sendFeedback({ prediction_id: (await ask(client, question)).id, rating: 'down', correction })
  await page.reload()
  await page.getByText(say('nextDataset')).waitFor()
  await show('next-step')
  await page.getByRole('link', { name: say('goDataset') }).press('Enter')
  await makeDataset(tour)
  await startRun(tour)
  await watchRun(tour)
  await compare(tour)
  await rollOut(tour, client)
}

async function makeDataset({ page, language, show }: Tour): Promise<void> {
  const say = wordsOf({ ...commonTexts, ...datasetTexts }, language)
  await page.getByLabel(say('name'), { exact: true }).fill('corrections')
  await page.getByLabel(say('heldOutShare')).fill('20')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: say('previewTitle') }).waitFor()
  await page.getByText(facts[0][1]).waitFor()
  await show('dataset-preview')
  await page.getByRole('button', { name: say('create') }).press('Enter')
  await page.getByRole('heading', { name: 'corrections:1' }).waitFor()
  await page.getByText(facts[0][1]).waitFor()
  await show('dataset-made')
  await page.getByRole('link', { name: say('trainWith') }).press('Enter')
}

async function startRun({ page, language, show }: Tour): Promise<void> {
  const say = wordsOf({ ...commonTexts, ...runTexts }, language)
  await page.getByLabel(say('name'), { exact: true }).fill('learned')
  await page.getByText(say('morePart')).click()
  const numbers = { epochs: '10', batch_size: '5', learning_rate: '0.002', max_length: '128' }
  for (const name of ['epochs', 'batch_size', 'learning_rate', 'max_length'] as const)
    await page.getByLabel(fieldTexts[name].label[language], { exact: true }).fill(numbers[name])
  await page.getByText(say('atMost', { steps: '10' })).waitFor()
  await show('new-run')
  await page.getByRole('button', { name: say('start') }).press('Enter')
  await page.getByRole('heading', { name: 'learned', exact: true }).waitFor()
}

async function watchRun({ page, language, show }: Tour): Promise<void> {
  const say = wordsOf({ ...commonTexts, ...runTexts }, language)
  const words = (name: keyof typeof runTexts) => page.getByText(say(name).split('{')[0] ?? '').first()
  await page.getByRole('img').waitFor({ timeout: 200_000 })
  await show('run')
  await page.getByRole('button', { name: say('pause') }).press('Enter')
  await words('statePaused').waitFor({ timeout: 200_000 })
  // The same button goes on, and has kept the focus.
  expect(await page.evaluate('document.activeElement.textContent.trim()')).toBe(say('resume'))
  await show('run-paused')
  await page.getByRole('button', { name: say('resume') }).press('Enter')
  await page.getByText(say('stateCompleted', { model: learned })).waitFor({ timeout: 200_000 })
  await expectCharts(page, 1)
  await show('run-completed')
  await page.getByRole('link', { name: say('evaluate') }).press('Enter')
}

async function compare({ page, language, show }: Tour): Promise<void> {
  const say = wordsOf({ ...commonTexts, ...evaluationTexts }, language)
  await expect.poll(() => page.getByLabel(say('candidate')).inputValue()).toBe(learned)
  await page.getByText(say('limits')).click()
  await page.getByLabel(say('max_questions')).fill('2')
  await page.getByLabel(say('max_tokens')).fill('16')
  await show('new-gate')
  await page.getByRole('button', { name: say('start') }).press('Enter')
  await page.getByRole('heading', { name: new RegExp(`^${say('verdict')}`) }).waitFor({ timeout: 200_000 })
  await show('gate')
  await page.getByRole('heading', { name: say('examples') }).scrollIntoViewIfNeeded()
  await show('gate-examples')
}

async function rollOut({ page, language, show, service }: Tour, client: Client): Promise<void> {
  const say = wordsOf({ ...commonTexts, ...rolloutTexts }, language)
  await page.goto(`${service.baseUrl}/#/training/rollouts/new/${encodeURIComponent(learned)}`)
  const slider = page.getByRole('slider', { name: say('shareOf', { model: learned }) })
  await slider.focus()
  for (let share = 10; share < 50; share += 10) await page.keyboard.press('PageUp')
  await page.getByText(say('otherShare', { model: realModel, share: '50' })).waitFor()
  await show('new-rollout')
  await page.getByRole('button', { name: say('start') }).press('Enter')
  await page.getByRole('heading', { name: say('titleOf', { alias: 'default' }) }).waitFor()
  const rated = await rateUntilBothAnswer(client)
  await page.reload()
  await page
    .getByText(/100\s?%/)
    .first()
    .waitFor()
  await show('rollout')
  expect(rated).toEqual([realModel, learned])
  const dialog = page.getByRole('dialog')
  await page.getByRole('button', { name: say('promote') }).press('Enter')
  await show('promote')
  await dialog.getByRole('button', { name: say('promote') }).press('Enter')
  await page.getByRole('button', { name: say('undo') }).waitFor()
  expect(await client.model()).toMatchObject({ model_name: learned })
  expect((await ask(client, facts[0][0])).model).toBe(learned)
  await show('promoted')
  await page.getByRole('button', { name: say('undo') }).press('Enter')
  await dialog.getByRole('button', { name: say('rollBack') }).press('Enter')
  await page.getByRole('button', { name: say('undo') }).waitFor({ state: 'detached' })
  expect(await client.model()).toMatchObject({ model_name: realModel })
}

/** All that there is of each part, by its links. */
async function lookAround({ page, language, show, service }: Tour): Promise<void> {
  const say = wordsOf(commonTexts, language)
  const sayOfOverview = wordsOf(overviewTexts, language)
  await page.goto(`${service.baseUrl}/#/training`)
  await page.getByRole('heading', { name: sayOfOverview('path') }).waitFor()
  await show('overview')
  const rows = { datasets: 'corrections', runs: 'learned', evaluations: learned, rollouts: learned } as const
  for (const part of ['datasets', 'runs', 'evaluations', 'rollouts'] as const) {
    await page
      .getByRole('navigation', { name: say('parts') })
      .getByRole('link', { name: say(part) })
      .press('Enter')
    await page.getByRole('heading', { name: say(part), exact: true }).waitFor()
    const link = page.locator('main').getByRole('link', { name: rows[part] }).first()
    await link.waitFor()
    await show(part)
    await link.press('Enter')
    await page
      .getByRole('heading', { level: 2, name: part === 'rollouts' ? 'default' : rows[part] })
      .first()
      .waitFor()
    if (part === 'runs') await expectCharts(page, 1)
    await show(`one-of-${part}`)
  }
}

/** Of whichever model answers who names none, as a conversation of its own. */
async function ask(client: Client, question: string): Promise<Readonly<{ id: string; model: string }>> {
  let id = ''
  const messages = [{ role: 'user', content: question }] as const
  for await (const event of client.chatStream({ messages, temperature: 0, max_tokens: 20 })) id = event.id
  const { model } = await client.prediction(id.replace('chatcmpl-', ''))
  return { id, model }
}

/** What was learned gets thumbs up, the base thumbs down. Gives which models were rated. */
async function rateUntilBothAnswer(client: Client): Promise<readonly string[]> {
  const rated = new Set<string>()
  for (let turn = 0; turn < 40 && rated.size < 2; turn += 1) {
    const { id, model } = await ask(client, `What is ${turn} plus one?`)
    await client.sendFeedback({ prediction_id: id, rating: model === learned ? 'up' : 'down' })
    rated.add(model)
  }
  return [...rated].sort()
}
