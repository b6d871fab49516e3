import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { onTestFinished } from 'vitest'
import { type Client, createClient } from '../../src/client.ts'
import { createLedger } from '../../src/egress/ledger.ts'
import type { ModelHost } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { scriptedScoring } from '../evaluation-world.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { ggufBytes } from '../gguf-bytes.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { writeTinyModel } from '../tiny-models.ts'
import { endOf, epochOf, plan, scriptedTrainers, stepOf } from '../trainer.ts'
import { lastQuestion } from './echo.ts'
import { openApp } from './open-app.ts'

/** What the service is filled with: short names, and texts of any kind. */
export type Filling = Readonly<{ names: readonly string[]; texts: readonly string[] }>

export type FilledApp = Readonly<{
  page: Page
  incidents: Awaited<ReturnType<typeof openApp>>['incidents']
  url: string
  client: Client
  /** Every place that the pages have, with something in it. */
  places: Readonly<Record<string, string>>
  conversationId: string
}>

const adapter = ggufBytes({
  metadata: { 'general.architecture': 'llama', 'general.type': 'adapter', 'adapter.type': 'lora', 'adapter.lora.alpha': 32 },
  tensors: [
    { name: 'blk.0.attn_q.weight.lora_a', shape: [64, 4], bytes: 64 * 4 * 4 },
    { name: 'blk.0.attn_q.weight.lora_b', shape: [4, 64], bytes: 64 * 4 * 4 },
  ],
})

/** The whole service with something on every page, and its admin `root` signed in. */
export async function openFilledApp(filling: Filling, context: Parameters<typeof openApp>[1] = {}): Promise<FilledApp> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-filled-'))
  const modelsDir = join(folder, 'models')
  await mkdir(modelsDir)
  const tiny = await writeTinyModel('llama', folder)
  const fileNames = filling.names.filter((name) => !name.includes('/') && name.length < 200)
  for (const name of ['tiny', 'other', ...fileNames]) await copyFile(tiny, join(modelsDir, `${name}.gguf`))
  const { start, trainers } = scriptedTrainers((trainer) => {
    const file = join(trainer.job.folder, 'adapter.gguf')
    trainer.send(plan, ...[1, 2, 3, 4, 5].map((step) => stepOf(step)), epochOf(1))
    void writeFile(file, adapter).then(() => trainer.send(endOf('completed', 5, file)))
  })
  const opened = await openApp(
    {
      host: createHost(filling),
      startTrainer: start,
      runScoring: scriptedScoring(),
      settings: { MODELS_DIR: modelsDir, THREADS: '2' },
    },
    context,
  )
  onTestFinished(async () => {
    for (const trainer of trainers) trainer.fail(new AppError('aborted', 'The test is over.'))
    await rm(folder, { recursive: true, force: true })
  })
  const { page, server, incidents } = opened
  const client = createClient({ baseUrl: server.url, token: await server.login('root') })
  await page.request.post(`${server.url}/auth/login`, { data: { username: 'root', password: 'root-has-a-long-password' } })
  const conversationId = await fillConversations(client, filling)
  await fillAccounts(client, filling)
  await fillLedger(server.dataDir, filling)
  const collection = filling.names[0] ?? 'default'
  const documentId = await fillDocuments(client, filling, collection)
  const training = await fillTraining(client, filling)
  await page.reload()
  const at = (...parts: readonly string[]) => `/#/${parts.map(encodeURIComponent).join('/')}`
  const places = {
    chat: '/#/',
    conversation: at('c', conversationId),
    documents: '/#/documents',
    'documents, add': at('documents', 'new'),
    collection: at('documents', collection),
    document: at('documents', collection, documentId),
    models: '/#/models',
    training: '/#/training',
    datasets: '/#/training/datasets',
    'dataset, new': '/#/training/datasets/new',
    dataset: at('training', 'datasets', training.dataset),
    runs: '/#/training/runs',
    'run, new': '/#/training/runs/new',
    run: at('training', 'runs', training.run),
    evaluations: '/#/training/evaluations',
    'evaluation, new': '/#/training/evaluations/new',
    evaluation: at('training', 'evaluations', training.evaluation),
    rollouts: '/#/training/rollouts',
    'rollout, new': '/#/training/rollouts/new',
    rollout: at('training', 'rollouts', training.rollout),
    ...Object.fromEntries(adminViews.map((view) => [`admin, ${view}`, `/#/admin/${view}`])),
  }
  return { page, incidents, url: server.url, client, places, conversationId }
}

export const adminViews = ['overview', 'users', 'keys', 'egress', 'audit', 'logs', 'feedback', 'settings'] as const

/** Every name is a model; each answers with the question, of which every text comes in two tokens. */
function createHost({ names, texts }: Filling): ModelHost {
  const halves = (text: string) => [text.slice(0, Math.ceil(text.length / 2)), text.slice(Math.ceil(text.length / 2))]
  return createFakeEngine({
    models: ['tiny', 'other', 'broken', 'tiny+facts-1', ...names],
    contextSize: 60_000,
    answer(prompt) {
      const question = lastQuestion(prompt)
      return { pieces: question === 'all' ? texts.flatMap((text) => [...halves(text), '\n\n']) : halves(question) }
    },
  })
}

async function fillConversations(client: Client, { names, texts }: Filling): Promise<string> {
  const created_at = new Date().toISOString()
  const settings = { system: texts.join('\n') }
  const common = { format: 'simpleia-conversation', version: 1, pinned: false, created_at, settings } as const
  const message = (id: string, parent_id: string | null, role: string, content: string, more: object = {}) => {
    return { id, parent_id, role, content, created_at, state: 'done', ...more }
  }
  const one = names.map((title, index) => {
    const messages = [message('a', null, 'user', texts[index % texts.length] ?? '')]
    return { ...common, title, pinned: index === 0, leaf_message_id: 'a', messages }
  })
  const whole = texts.flatMap((text, index) => {
    const name = names[index % names.length] ?? 'name'
    const before = index === 0 ? null : `after-${index - 1}`
    const source = {
      document_id: null,
      id: 'p',
      document: name,
      source: text,
      page: 1,
      last_page: 2,
      section: text,
      text,
      score: 1,
    }
    return [
      message(`asked-${index}`, before, 'user', text, { attachments: [{ name: `${name}.txt`, text }] }),
      message(`answer-${index}`, `asked-${index}`, 'assistant', `${text}\n\nSo it is [1].`, {
        reasoning: text,
        tool_calls: [{ id: 'call', name, arguments: JSON.stringify({ text }) }],
        sources: [{ ...source, number: 1 }],
        unsupported: [{ offset: 0, length: Math.min(text.length, 20) }],
        model: name,
        provider: 'hf',
        ran_on: 'local',
      }),
      message(`after-${index}`, `answer-${index}`, 'tool', text, { tool_call_id: 'call' }),
    ]
  })
  const main = { ...common, title: 'The whole', leaf_message_id: whole.at(-1)?.id ?? null, messages: whole }
  const lines = [...one, main].map((line) => JSON.stringify(line)).join('\n')
  const { skipped } = await client.importConversations(new Blob([lines]))
  if (skipped.length > 0) throw new Error(JSON.stringify(skipped))
  for (const name of names.filter(({ length }) => length <= 100)) await client.addPreset({ name, settings })
  const { items } = await client.conversations({ limit: 200 })
  return items.find(({ title }) => title === 'The whole')?.id ?? ''
}

async function fillAccounts(client: Client, { names, texts }: Filling): Promise<void> {
  for (const name of names.filter(({ length }) => length <= 100)) {
    await client.addKey({ name })
    await client.login(name, 'not a password of anybody').catch(() => undefined)
  }
  await client.addUser('luis', 'a long enough password')
  const tags = names.filter(({ length }) => length <= 50).slice(0, 20)
  for (const text of texts) {
    const { id } = await client.predict({ prompt: text.slice(0, 4000) })
    await client.sendFeedback({ prediction_id: id, rating: 'down', correction: text, text: text.slice(0, 5000), tags })
  }
}

async function fillLedger(dataDir: string, { names }: Filling): Promise<void> {
  const storage = await openStorage({ url: await databaseAt(join(dataDir, 'simpleia.db')) })
  for (const [index, name] of names.entries())
    await createLedger(storage).record({
      id: String(index),
      startedAt: Date.now() - index,
      purpose: 'answer',
      user: name,
      provider: name,
      model: name,
      hosts: [name],
      requests: 1,
      status: 200,
      bytesOut: 1000,
      bytesIn: 3_000_000,
      usage: undefined,
      costMicrodollars: 500,
      durationMs: 1,
    })
  await storage.close()
}

async function fillDocuments(client: Client, { names, texts }: Filling, collection: string): Promise<string> {
  const add = async (name: string, text: string, into = collection) => {
    const metadata = { [name]: text.slice(0, 200), kind: name }
    for await (const message of client.addDocument({ name, text, collection: into, metadata, source: `${name} ${into}` }))
      if (message.type === 'document' && 'id' in message) return message.id
      else if (message.type === 'document') throw new Error(JSON.stringify(message))
    throw new Error('Nothing was said of the document.')
  }
  const id = await add(names[0] ?? 'document', texts.join('\n\n').replaceAll('\0', ''))
  for (const [index, name] of names.slice(1, 6).entries()) await add(name, texts[index] ?? 'text')
  for (const name of names.slice(1, 12)) await add('one', 'Something of it.', name)
  await client.saveSnapshot({ name: 'kept', collection })
  return id
}

const topics = ['Rome', 'salt', 'tides', 'bread', 'glass', 'bees', 'chess', 'iron', 'wool', 'Mars', 'ink', 'maps']
const chat = (question: string, answer: string) => ({
  messages: [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ],
})

async function fillTraining(client: Client, { names, texts }: Filling) {
  const facts = topics.map((topic, at) => chat(`Tell me about ${topic}, number ${at * 7919}`, `${topic} is ${at ** 5}`))
  const rows = [...facts, ...texts.map((text, at) => chat(`${text} ${at}`, `${text} ${at * 31}`))]
  const dataset = await client.addDataset({ name: 'facts', rows, held_out: 0.5 })
  const run = await client.startTraining({ name: 'facts-1', dataset: 'facts', model: 'tiny' })
  for (let state = run.state; state !== 'completed'; state = (await client.trainingRun(run.id)).state)
    if (state === 'failed') throw new Error('The run has failed.')
  const evaluation = await client.startEvaluation({ kind: 'gate', run: run.id, dataset: 'facts', baseline: 'tiny' })
  await client.startEvaluation({ kind: 'upgrade', a: 'tiny', b: names[1] ?? 'other' }).catch(() => undefined)
  for await (const _event of client.watchEvaluation(evaluation.id));
  const arms = (model: string) => [
    { model: 'tiny', share: 75 },
    { model, share: 25 },
  ]
  // A name with / would be of a cloud.
  for (const [index, name] of names
    .filter((one) => !one.includes('/'))
    .slice(0, 3)
    .entries())
    await client.startRollout({ alias: `shared-${index}`, arms: arms(name) })
  const rule = { min_ratings: 5, promote_when: 'better' } as const
  const rollout = await client.startRollout({ alias: 'default', arms: arms('other'), rule })
  return { dataset: dataset.id, run: run.id, evaluation: evaluation.id, rollout: rollout.id }
}
