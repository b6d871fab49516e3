import { expect } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import type { GenerateEvent, GenerateRequest } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { openCatalog, openEmbedders } from '../../src/service.ts'
import { calling, saying } from '../answer-scripts.ts'
import { openRealHost, realModel } from '../real-host.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { bodyOf, startServer } from '../server.ts'

/** What the clients are pointed at. Those in Python get it as JSON. */
export type World = Readonly<{
  /** The address of a service with the small real model and the real embedding model; anybody may ask. */
  real: string
  model: string
  embeddingModel: string
  /** The address of a service whose model "scripted" follows `answer`; it asks for a key. */
  scripted: string
  key: string
}>

export type OpenWorld = World & AsyncDisposable

export async function openWorld(): Promise<OpenWorld> {
  const real = await openRealHost({ CONTEXT_SIZE: '2048' })
  const installed = loadConfig({ environment: { MODELS_DIR: 'model_llm' } })
  const embedding = await openEmbedders(installed, openCatalog(installed))
  const realServer = await startServer({ host: real.host, ...embedding, settings: { MODELS_DIR: real.modelsDir } })
  const scripted = await startServer({ host: createScriptedHost(answer), settings: { ALLOW_ANONYMOUS: 'false' } })
  return {
    real: realServer.url,
    model: realModel,
    embeddingModel: embedding.embedders.usual.name,
    scripted: scripted.url,
    key: await makeKey(scripted.url, await scripted.login('ana')),
    async [Symbol.asyncDispose]() {
      await scripted[Symbol.asyncDispose]()
      await realServer[Symbol.asyncDispose]()
      await real.remove()
    },
  }
}

async function makeKey(url: string, token: string): Promise<string> {
  const response = await fetch(`${url}/auth/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'clients' }),
  })
  return (await bodyOf<{ key: string }>(response)).key
}

/** What the model "scripted" says: it thinks, calls two functions at once, breaks off, or tells how many pictures it was shown. */
function* answer({ prompt }: GenerateRequest): Iterable<GenerateEvent> {
  const messages = prompt.type === 'chat' ? prompt.messages : []
  const last = messages.at(-1)
  if (last?.role === 'tool') return yield* saying('It is ', toldBy(messages))
  const thought: GenerateEvent = { type: 'reasoning-delta', index: 0, text: 'Hm.' }
  if (prompt.type === 'chat' && prompt.tools !== undefined) {
    yield thought
    return yield* calling(['call_1', 'weather', '{"city":"Oslo"}'], ['call_2', 'weather', '{"city":"Rome"}'])
  }
  if (last?.content === 'Think.') {
    yield thought
    return yield* saying('Done', '.')
  }
  if (last?.content === 'Break.') {
    yield { type: 'text-delta', index: 0, text: 'Half' }
    throw new AppError('unavailable', 'The model broke off.')
  }
  if (last?.role === 'user' && last.images !== undefined) return yield* saying(`${last.images.length} picture`)
  yield* saying('Yes', '.')
}

/** The results in the order of the calls that they belong to. */
function toldBy(messages: Extract<GenerateRequest['prompt'], { type: 'chat' }>['messages']): string {
  const calls = messages.flatMap((message) => (message.role === 'assistant' ? (message.toolCalls ?? []) : []))
  const results = calls.map(({ id, arguments: written }) => {
    const result = messages.find((message) => message.role === 'tool' && message.toolCallId === id)
    return `${JSON.parse(written).city} ${result?.content}`
  })
  return results.join(' and ')
}

/** How many answers a service is writing. */
async function countActive(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(/^simpleia_generations_active (\d+)$/m.exec(metrics)?.[1])
}

/** Runs `leave` while an answer is being written, and sees the model idle within a second. */
export async function expectFreed(url: string, leave: () => unknown): Promise<void> {
  await expect.poll(() => countActive(url), { timeout: 5000, interval: 10 }).toBe(1)
  await leave()
  await expect.poll(() => countActive(url), { timeout: 1000, interval: 10 }).toBe(0)
}
