import type { TrainingExample } from '../src/engine/train/example.ts'
import { AppError } from '../src/errors.ts'
import type { Contestant, ExampleScore, Plan, Question, Work } from '../src/evaluation/evaluation.ts'
import { questionOf } from '../src/evaluation/gate.ts'
import { resolveThresholds } from '../src/evaluation/verdict.ts'
import type { Asker } from '../src/predict/predict.ts'

export const admin: Asker = { key: 'user:1', authenticated: true, userId: '1', keyId: undefined }
export const local = (model: string): Contestant => ({ provider: 'hf', model, ranOn: 'local' })
export const cloud = (model: string): Contestant => ({ provider: 'claude', model, ranOn: 'cloud' })

export type GatePlan = Extract<Plan, { kind: 'gate' }>

export function gatePlan(plan: Partial<GatePlan> = {}): GatePlan {
  return {
    kind: 'gate',
    asker: admin,
    baseline: local('base'),
    candidate: local('tuned'),
    judge: undefined,
    maxTokens: 32,
    datasetId: 'd',
    maxRows: 100,
    maxQuestions: 100,
    thresholds: resolveThresholds(),
    ...plan,
  }
}

export type Script = Readonly<{
  /** What a model says to a question; an error is thrown. */
  answer?: (model: string, question: string) => string | AppError
  /** Nats that a model takes for an example: its length in characters where nothing else is said. */
  nats?: (model: string, example: TrainingExample, text: string) => number
  heldOut?: readonly TrainingExample[]
  recent?: Work['recentConversations']
}>

export type ScriptedWork = Work &
  Readonly<{ asked: readonly (Question & Readonly<{ model: string }>)[]; waits: readonly number[] }>

/** Models that do as they are told. A token has two characters. */
export function scriptedWork({ answer = () => 'I do not know.', nats, heldOut = [], recent }: Script = {}): ScriptedWork {
  const asked: Array<Question & Readonly<{ model: string }>> = []
  const waits: number[] = []
  const likelihood = (model: string, example: TrainingExample, text: string) => {
    return { logprob: -(nats?.(model, example, text) ?? text.length), tokens: Math.ceil(text.length / 2) }
  }
  const scoreOne = (model: string, example: TrainingExample): ExampleScore => {
    if (example.type === 'preference') {
      const { chosen, rejected } = example
      return { type: 'pair', chosen: likelihood(model, example, chosen), rejected: likelihood(model, example, rejected) }
    }
    const text = example.type === 'text' ? example.text : (example.messages.at(-1)?.content ?? '')
    return text === '' ? { type: 'left-out' } : { type: 'text', ...likelihood(model, example, text) }
  }
  return {
    asked,
    waits,
    async ask({ model }, question, _asker, signal) {
      if (signal.aborted) throw new AppError('aborted', 'Stopped.')
      asked.push({ ...question, model })
      const text = answer(model, questionOf(question.prompt))
      if (typeof text !== 'string') throw text
      return { text, tokens: Math.ceil(text.length / 2), tokensPerSecond: 10 }
    },
    async score({ modelPath }, examples, { onProgress }) {
      return examples.map((example, at) => {
        onProgress(at + 1)
        return scoreOne(modelPath, example)
      })
    },
    findFiles: async ({ model, ranOn }) => (ranOn === 'cloud' ? undefined : { modelPath: model, adapterPath: undefined }),
    readHeldOut: async (id, most) => {
      return { dataset: { id, name: 'facts', version: 1 }, count: heldOut.length, examples: heldOut.slice(0, most) }
    },
    recentConversations: recent ?? (async () => []),
    wait: async (ms) => void waits.push(ms),
  }
}

export function chatExample(question: string, answer: string): TrainingExample {
  return {
    type: 'chat',
    messages: [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ],
  }
}

export function pairExample(question: string, chosen: string, rejected: string): TrainingExample {
  return { type: 'preference', messages: [{ role: 'user', content: question }], chosen, rejected }
}

export const run = { onProgress() {}, signal: new AbortController().signal }
