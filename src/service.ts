import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type App, createApp } from './app.ts'
import { readSelection, writeSelection } from './config/selection.ts'
import type { Config } from './config.ts'
import { type ChatTemplateRenderer, createChatTemplateRenderer } from './engine/chat-template.ts'
import { plainChatStops, renderPlainChat } from './engine/chat-template-plain.ts'
import type { ChatPrompt } from './engine/local/answer-request.ts'
import { createEmbedder, spawnEmbedder } from './engine/local/embed-process.ts'
import { openEngine, spawnChild } from './engine/local/engine-process.ts'
import { createLocalProvider } from './engine/local/local-provider.ts'
import { adviseOnMemory, estimateMemory } from './engine/local/memory-estimate.ts'
import type { LoadedModel } from './engine/local/protocol.ts'
import type { ChatMessage, ModelHost } from './engine/provider.ts'
import { AppError } from './errors.ts'
import { openLogStream } from './http/log-stream.ts'
import { createCatalog } from './models/catalog.ts'
import { embeddingModel, findEmbeddingModel } from './models/embedding-model.ts'
import { createLoadedModels, type LoadedModels } from './models/loaded-models.ts'
import { readModelKind } from './models/model-kind.ts'
import { createModelRegistry } from './models/registry.ts'

/** The service of these settings, ready to listen; its model may still be loading. */
export async function openService(config: Config, { version }: Readonly<{ version: string }>): Promise<App> {
  const host = await openHost(config, await chooseModel(config))
  const threads = config.threads > 0 ? config.threads : availableParallelism()
  const embedder = createEmbedder({
    name: embeddingModel,
    spawn: () => spawnEmbedder(logEngine),
    findModel: () => findEmbeddingModel(config.modelsDir, threads),
    maxWaiting: config.maxQueue,
  })
  return createApp(config, { host, embedder, version, logStream: openLogStream(1) })
}

/** What was selected last, else DEFAULT_MODEL, else undefined: the first installed. */
async function chooseModel({ configFile, defaultModel, llmProvider }: Config): Promise<string | undefined> {
  const selection = await readSelection(configFile)
  // A file to edit, with what holds without it; a folder that cannot be written is no reason not to start.
  if (selection === undefined)
    await writeSelection(configFile, { selectedModel: undefined, provider: llmProvider }).catch(() => {})
  const provider = selection?.provider ?? llmProvider
  if (provider !== 'hf')
    throw new AppError(
      'invalid',
      `The provider "${provider}" is not part of this version. Set it to "hf", the model on this machine.`,
    )
  return selection?.selectedModel ?? defaultModel
}

/** Of the memory that is free, the part that models may take when nothing else is set. */
const usualShare = 0.7

/** The local models; the chosen one and those that were in memory before begin to load, and whether they do is for the host to tell. */
export async function openHost(config: Config, model: string | undefined): Promise<ModelHost> {
  const threads = config.threads > 0 ? config.threads : availableParallelism()
  const { contextSize, kvCacheType: cacheType, maxParallel, maxQueue, speculation: speculates, device, memoryBudget } = config
  const loadOptions = { contextSize, cacheType, maxParallel, threads, speculates, device }
  const catalog = createCatalog({
    registry: createModelRegistry(config.modelsDir),
    readFacts: readModelKind,
    aliases: config.modelAliases ?? new Map(),
    estimateBytes: (facts) => estimateMemory(facts, loadOptions).totalBytes,
  })
  const loaded = createLoadedModels(join(config.dataDir, 'loaded-models.json'))
  const renderer = createChatTemplateRenderer()
  const host = createLocalProvider({
    async openEngine(file, signal) {
      const facts = await catalog.factsOf(file)
      const { weightBytes, cacheBytes } = estimateMemory(facts, loadOptions)
      const size = { layers: facts.layers, weightBytes, cacheBytes }
      return openEngine(spawnChild(logEngine), { ...loadOptions, path: file.path, size }, signal)
    },
    findModel: catalog.find,
    listModels: catalog.list,
    estimateBytes: async (file) => estimateMemory(await catalog.factsOf(file), loadOptions).totalBytes,
    budgetBytes: (usedBytes) => memoryBudget ?? usualShare * (process.availableMemory() + usedBytes),
    adviseOn: async (file, budgetBytes) => adviseOnMemory(await catalog.factsOf(file), loadOptions, budgetBytes),
    renderChat: (loaded, { messages }) => renderChat(renderer, loaded, messages),
    keepAliveMs: config.keepAliveSeconds * 1000,
    maxParallel,
    maxQueue,
    now: Date.now,
    clock: () => performance.now(),
    onChange: (names) => loaded.note({ selected: host.selected()?.name, loaded: names }),
  })
  const { done } = await beginLoading(host, model, await loaded.read())
  void done.then(loaded.begin)
  return { ...host, close: () => Promise.all([loaded.close(), host.close(), renderer.close()]).then(() => {}) }
}

/**
 * Begins to load the chosen model, or else the one that was selected last, or else the first; and those that were in memory.
 * A model that fails to load is no reason not to start: the log says why, and so does the host's status.
 */
async function beginLoading(
  host: ModelHost,
  chosen: string | undefined,
  before: LoadedModels,
): Promise<Readonly<{ done: Promise<unknown> }>> {
  const names = (await host.list()).filter(({ kind }) => kind === 'chat').map(({ name }) => name)
  const last = before.selected !== undefined && names.includes(before.selected) ? before.selected : names[0]
  const first = chosen ?? last
  const others = before.loaded.filter((name) => name !== first && names.includes(name))
  const tell = (error: unknown) => {
    const isStopped = error instanceof AppError && error.code === 'aborted'
    if (!isStopped) logEngine(`${error instanceof Error ? error.message : String(error)}\n`)
  }
  const loads = [...(first === undefined ? [] : [host.select(first)]), ...others.map((name) => host.load(name))]
  return { done: Promise.all(loads.map((load) => load.catch(tell))) }
}

async function renderChat(
  renderer: ChatTemplateRenderer,
  model: LoadedModel,
  messages: readonly ChatMessage[],
): Promise<ChatPrompt> {
  const { chatTemplate: template, bosToken, eosToken, controlTokens } = model
  if (template === undefined) return { prompt: renderPlainChat(messages), stop: plainChatStops, dropsFirstSpace: true }
  const request = { template, messages, bosToken, eosToken, controlTokens, addGenerationPrompt: true }
  return { prompt: await renderer.render(request), stop: [], dropsFirstSpace: false }
}

/** What is to be known when a model or its process fails. It holds no prompts. */
function logEngine(text: string): void {
  process.stderr.write(text)
}
