import type { Client } from '../../src/client.ts'
import type { RolloutDetail } from '../../src/rollout/schema.ts'
import type { NewRunBody } from '../../src/training/schema.ts'
import { type Answered, askAll, type Fact, holdsKey, type Score, scoreOf } from './facts.ts'
import type { LearningService } from './service.ts'
import { type Gate, runGate, train } from './train.ts'

export const stageNames = ['ask', 'correct', 'dataset', 'train', 'gate', 'rollout', 'promote', 'ask again'] as const
export type StageName = (typeof stageNames)[number]

export type LoopResult = Readonly<{
  seed: number
  seconds: Readonly<Record<StageName, number>>
  before: Score
  after: Score
  paraphrases: Score
  forgettingPercent: number
  /** Of the gate's general questions, those whose answer holds what is right: of the model before, and after. */
  general: readonly string[]
  gatePassed: boolean
  steps: number
  tokensPerSecond: number
  /** The most that the process of the training had resident. */
  trainerBytes: number
  /** The most of all processes that is in no file. */
  peakBytes: number
  /** Answers and ratings of each model while both shared the requests. */
  arms: readonly Readonly<{ model: string; answers: number; rated: number; wins: number }>[]
  wrong: readonly Readonly<{ question: string; answer: string }>[]
}>

export type LoopOptions = Readonly<{ seed: number; heldOut: number; recipe: NewRunBody; tell(line: string): void }>

/** What a user does, from wrong answers to a model in use that knows better. */
export async function runLoop(
  { client, peakBytes }: LearningService,
  facts: readonly Fact[],
  { seed, heldOut, recipe, tell }: LoopOptions,
): Promise<LoopResult> {
  const seconds: Record<StageName, number> = Object.assign({}, ...stageNames.map((name) => ({ [name]: 0 })))
  const stage = async <T>(name: StageName, work: () => Promise<T>): Promise<T> => {
    const startedAt = performance.now()
    const result = await work()
    seconds[name] = (performance.now() - startedAt) / 1000
    tell(`seed ${seed}: ${name} ${seconds[name].toFixed(1)} s`)
    return result
  }
  const base = await selected(client)
  const before = await stage('ask', () => askAll(client, facts, 'question'))
  await stage('correct', () => correctAll(client, before))
  const dataset = await stage('dataset', () => makeDataset(client, heldOut, facts.length))
  const trained = await stage('train', () => train(client, { ...recipe, seed, dataset, name: 'learned' }))
  const gate = await stage('gate', () => runGate(client, { run: trained.run.id }))
  const rollout = await stage('rollout', () => share(client, base, trained.model, facts))
  await stage('promote', () => client.promoteRollout(rollout.id))
  if ((await selected(client)) !== trained.model) throw new Error(`After the promotion "${await selected(client)}" answers.`)
  const [after, paraphrases] = await stage('ask again', async () => [
    await askAll(client, facts, 'question'),
    await askAll(client, facts, 'paraphrase'),
  ])
  return {
    seed,
    seconds,
    before: scoreOf(before),
    after: scoreOf(after),
    paraphrases: scoreOf(paraphrases),
    forgettingPercent: gate.report.likelihood.forgetting?.change_percent.value ?? Number.NaN,
    general: generalOf(gate),
    gatePassed: gate.passed,
    steps: trained.run.step,
    tokensPerSecond: trained.tokensPerSecond,
    trainerBytes: trained.run.resident_bytes ?? 0,
    peakBytes: peakBytes(),
    arms: rollout.statistics.arms,
    wrong: wrongOf(after, 'question').concat(wrongOf(paraphrases, 'paraphrase')),
  }
}

function generalOf({ report }: Gate): readonly string[] {
  const { general } = report.answers
  if (general === null) return []
  return [general.baseline, general.candidate].map(
    ({ contains }) => `${Math.round((contains?.value ?? 0) * general.questions)}/${general.questions}`,
  )
}

async function selected(client: Client): Promise<string> {
  const { model_name: name } = await client.model()
  if (name === null) throw new Error('No model is selected.')
  return name
}

async function correctAll(client: Client, answers: readonly Answered[]): Promise<void> {
  for (const { id, fact } of answers) {
    const { prediction } = await client.sendFeedback({ prediction_id: id, rating: 'down', correction: fact.answer })
    if (prediction !== 'known') throw new Error(`The answer ${id} is not remembered.`)
  }
}

async function makeDataset(client: Client, heldOut: number, expected: number): Promise<string> {
  const body = { name: 'corrections', held_out: heldOut, from_feedback: { method: 'sft' } } as const
  const { id, train_rows: train, held_out_rows: held } = await client.addDataset(body)
  if (train + held !== expected) throw new Error(`Of ${expected} corrections ${train + held} are in the dataset.`)
  return id
}

/** Half of the conversations for each model; each answer is rated. */
async function share(client: Client, base: string, candidate: string, facts: readonly Fact[]): Promise<RolloutDetail> {
  const arms = [base, candidate].map((model) => ({ model, share: 50 }))
  const { id } = await client.startRollout({ arms })
  for (const answer of await askAll(client, facts, 'question'))
    await client.sendFeedback({ prediction_id: answer.id, rating: holdsKey(answer) ? 'up' : 'down' })
  return client.rollout(id)
}

function wrongOf(answers: readonly Answered[], wording: 'question' | 'paraphrase') {
  return answers.filter((one) => !holdsKey(one)).map(({ fact, text }) => ({ question: fact[wording], answer: text }))
}
