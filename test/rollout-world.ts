import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { ModelHost } from '../src/engine/provider.ts'
import type { RolloutAnswer, RolloutDetail } from '../src/rollout/schema.ts'
import { openStorage } from '../src/storage/open-storage.ts'
import type { Database } from '../src/storage/tables.ts'
import { createFakeEngine } from './fake-engine.ts'
import { databaseAt } from './postgres/database-at.ts'
import { bodyOf, type StartOptions, startServer } from './server.ts'

/** The first one is selected. */
export const models = ['old', 'new', 'third', 'broken']

export const ninetyTen = [
  { model: 'old', share: 90 },
  { model: 'new', share: 10 },
]
export const half = [
  { model: 'old', share: 50 },
  { model: 'new', share: 50 },
]

export type RolloutWorld = Awaited<ReturnType<typeof startRolloutWorld>>

export const modelsHost = (removed: ReadonlySet<string> = new Set()): ModelHost => {
  const host = createFakeEngine({ answer: () => ({ pieces: ['a'] }), models })
  return {
    ...host,
    async choose(name) {
      if (name !== undefined && removed.has(name)) await host.choose('gone')
      return host.choose(name)
    },
  }
}

/** The whole service with several models, an admin, and a second look at its database. */
export async function startRolloutWorld({ host = modelsHost(), ...options }: Partial<StartOptions> = {}) {
  const server = await startServer({ host, ...options })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const path = options.settings?.DATA_DIR === undefined ? server.dataDir : options.settings.DATA_DIR
  const storage = await openStorage({ url: await databaseAt(join(path, 'simpleia.db')) })
  onTestFinished(() => storage.close())
  const token = await server.login('root')
  const send = (method: string, path: string, body?: unknown, as: string | undefined = token) =>
    fetch(`${server.url}${path}`, {
      method,
      headers: {
        ...(as === undefined ? {} : { authorization: `Bearer ${as}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  const call = async (method: string, path: string, body?: unknown): Promise<Record<string, unknown>> => {
    const response = await send(method, path, body)
    return { status: response.status, ...(await bodyOf<object>(response)) }
  }
  const { id: rootId } = await bodyOf<{ id: string }>(await send('GET', '/auth/me'))
  return {
    ...server,
    db: storage.db,
    token,
    rootId,
    send,
    call,
    /** Fails unless it starts. */
    async start(body: object = { arms: half }): Promise<RolloutAnswer> {
      const response = await send('POST', '/rollout', body)
      const text = await response.text()
      if (response.status !== 201) throw new Error(text)
      return JSON.parse(text)
    },
    detail: async (id: string) => bodyOf<RolloutDetail>(await send('GET', `/rollout/${id}`)),
    /** Who answers a prompt. */
    async whoAnswers(prompt: string, more: object = {}): Promise<string> {
      const { model } = await bodyOf<{ model: string }>(await send('POST', '/predict', { prompt, max_length: 1, ...more }))
      return model
    },
    async actions(id?: string): Promise<readonly string[]> {
      const path = id === undefined ? '/rollout/events' : `/rollout/${id}/events`
      const { items } = await bodyOf<{ items: readonly { action: string; actor: string }[] }>(await send('GET', path))
      return items.map(
        ({ action, actor }) => `${action} by ${actor === 'rule' ? 'rule' : actor === `user:${rootId}` ? 'root' : actor}`,
      )
    },
  }
}

export type RememberedAnswer = Readonly<{ rolloutId: string; model: string; ownerId: string | null; tokensPerSecond?: number }>

/** An answer of an arm, as it is remembered; gives its id. */
export async function rememberAnswer(db: Database, { rolloutId, model, ownerId, tokensPerSecond = 10 }: RememberedAnswer) {
  const id = randomUUID()
  await db
    .insertInto('predictions')
    .values({
      id,
      ownerId,
      ownerKey: null,
      prompt: JSON.stringify({ type: 'text', text: 'Hi' }),
      excerpt: 'Hi',
      choices: '[]',
      provider: 'hf',
      model,
      ranOn: 'local',
      rolloutId,
      parameters: '{}',
      promptTokens: 1,
      completionTokens: 1,
      timings: JSON.stringify({ queueMs: 0, promptMs: 50, firstTokenMs: 100, generationMs: 900, tokensPerSecond }),
      createdAt: new Date().toISOString(),
    })
    .execute()
  return id
}
