import { constants, copyFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import type { App, AppParts } from './app.ts'
import { readSelected, readSelection, writeSelection } from './config/selection.ts'
import type { Config, Environment } from './config.ts'
import { renderChat } from './engine/chat-format-render.ts'
import { createChatTemplateRenderer } from './engine/chat-template.ts'
import { spawnEmbedder } from './engine/local/embed-process.ts'
import { createEmbedders } from './engine/local/embedders.ts'
import { likelyCause, openEngine, spawnChild } from './engine/local/engine-process.ts'
import { createLocalProvider, localProvider } from './engine/local/local-provider.ts'
import { adviseOnMemory, estimateMemory } from './engine/local/memory-estimate.ts'
import { createVectorIndex, spawnVectorIndex } from './engine/local/vector-process.ts'
import type { ModelHost } from './engine/provider.ts'
import { AppError } from './errors.ts'
import { openLogStream } from './http/log-stream.ts'
import { logChild } from './log-child.ts'
import { type Catalog, createCatalog } from './models/catalog.ts'
import { createEmbedModels } from './models/embed-models.ts'
import { createLoadedModels, type LoadedModels } from './models/loaded-models.ts'
import { readModelKind } from './models/model-kind.ts'
import { createModelRegistry } from './models/registry.ts'

export type ServiceParts = Readonly<{
  version: string
  /** Where keys of cloud providers are looked up that their file names; default: none. */
  environment?: Environment
  /** What has to be there before the service is put together, such as its pages; the model loads meanwhile. */
  prepare?: () => Promise<void>
}>

/** The service of these settings, ready to listen; its model may still be loading. */
export async function openService(config: Config, { version, environment = {}, prepare }: ServiceParts): Promise<App> {
  const catalog = openCatalog(config)
  await offerFiles(config)
  const selected = await readSelected(config)
  const isLocal = selected.provider === localProvider
  const host = await openHost(config, isLocal ? selected.model : undefined, catalog)
  const { createApp, openClouds } = await readRest(prepare).catch(async (error) => {
    await host.close()
    throw error
  })
  const embedding = await openEmbedders(config, catalog)
  const openVectorIndex: AppParts['openVectorIndex'] = (readVectors) =>
    createVectorIndex({ spawn: () => spawnVectorIndex(logChild), readVectors, maxWaiting: config.maxQueue })
  const readElsewhere: AppParts['readElsewhere'] = (egress) => openClouds(config, environment, egress)
  return createApp(config, { host, selected, readElsewhere, ...embedding, openVectorIndex, version, logStream: openLogStream(1) })
}

/** The most of what has to be read for a service: by now a process of its own loads the model, so that each has a core. */
async function readRest(prepare: ServiceParts['prepare']) {
  const [{ createApp }, { openClouds }] = await Promise.all([import('./app.ts'), import('./clouds.ts'), prepare?.()])
  return { createApp, openClouds }
}

/** Processes of embedding models and rerankers at once. */
const mostEmbedProcesses = 3

/** The embedding models and rerankers of this machine. */
export async function openEmbedders(config: Config, catalog: Catalog): Promise<Pick<AppParts, 'embedders' | 'rerankers'>> {
  const { modelsDir, modelAliases: aliases, embeddingModel, maxQueue: maxWaiting, keepAliveSeconds } = config
  const registry = createModelRegistry(modelsDir)
  const models = createEmbedModels({ modelsDir, registry, catalog, aliases, threads: threadsOf(config) })
  return createEmbedders({
    ...models,
    // Under the name that it has here, whatever it was called in the setting.
    usual: (await models.find(embeddingModel))?.name ?? embeddingModel,
    spawn: () => spawnEmbedder(logChild),
    maxWaiting,
    keepAliveMs: keepAliveSeconds * 1000,
    mostProcesses: mostEmbedProcesses,
  })
}

const threadsOf = ({ threads }: Config) => (threads > 0 ? threads : availableParallelism())

const shippedPrices = new URL('../config/prices.json', import.meta.url)

/** Files to edit, where there are none, as on a new volume; a folder that cannot be written is no reason not to start. */
async function offerFiles({ configFile }: Config): Promise<void> {
  if ((await readSelection(configFile)) === undefined)
    await writeSelection(configFile, { selectedModel: undefined, provider: undefined }).catch(() => {})
  await copyFile(shippedPrices, join(dirname(configFile), 'prices.json'), constants.COPYFILE_EXCL).catch(() => {})
}

export function openCatalog(config: Config): Catalog {
  return createCatalog({
    registry: createModelRegistry(config.modelsDir),
    readFacts: readModelKind,
    aliases: config.modelAliases,
    estimateBytes: (facts) => estimateMemory(facts, loadOptionsOf(config)).totalBytes,
  })
}

function loadOptionsOf(config: Config) {
  const { contextSize, kvCacheType: cacheType, maxParallel, speculation: speculates, device } = config
  return { contextSize, cacheType, maxParallel, threads: threadsOf(config), speculates, device }
}

/** Of the memory that is free at the start, the part that models may take when nothing else is set. */
const usualShare = 0.7

/**
 * The local models; the chosen one and those that were in memory before begin to load, and whether they do is for the host to tell. When it
 * is open, the process of the first one is there: what this process does next takes no time from it.
 */
export async function openHost(config: Config, model: string | undefined, catalog = openCatalog(config)): Promise<ModelHost> {
  const { maxParallel, maxQueue, memoryBudget } = config
  const loadOptions = loadOptionsOf(config)
  // Once: what is free later counts weights of models in memory as free, as far as they are mapped from their files.
  const budgetBytes = memoryBudget ?? usualShare * process.availableMemory()
  const loaded = createLoadedModels(join(config.dataDir, 'loaded-models.json'))
  const renderer = createChatTemplateRenderer()
  const spawned = Promise.withResolvers<void>()
  const host = createLocalProvider({
    async openEngine(file, signal) {
      const facts = await catalog.factsOf(file)
      const { weightBytes, cacheBytes } = estimateMemory(facts, loadOptions)
      const size = { layers: facts.layers, weightBytes, cacheBytes }
      const { outputType } = facts
      const opening = openEngine(spawnChild(logChild), { ...loadOptions, path: file.path, size, outputType }, signal)
      spawned.resolve()
      return opening
    },
    findModel: catalog.find,
    listModels: catalog.list,
    estimateBytes: async (file) => estimateMemory(await catalog.factsOf(file), loadOptions).totalBytes,
    budgetBytes,
    adviseOn: async (file) => adviseOnMemory(await catalog.factsOf(file), loadOptions, budgetBytes),
    renderChat: (model, prompt, format) => renderChat(renderer, model, prompt, format),
    keepAliveMs: config.keepAliveSeconds * 1000,
    maxParallel,
    maxQueue,
    now: Date.now,
    clock: () => performance.now(),
    onChange: (names) => loaded.note({ selected: host.selected()?.name, loaded: names }),
    onDeath: (name, reason) =>
      logChild(`The process of the model "${name}" has ended (${reason}), and is started again. ${likelyCause(reason)}\n`),
  })
  const { first, all } = await beginLoading({ host, chosen: model, before: await loaded.read(), budgetBytes })
  void all.then(loaded.begin)
  await Promise.race([spawned.promise, first])
  return { ...host, close: () => Promise.all([loaded.close(), host.close(), renderer.close()]).then(() => {}) }
}

type Beginning = Readonly<{ host: ModelHost; chosen: string | undefined; before: LoadedModels; budgetBytes: number }>

/**
 * Begins to load the chosen model, or else the one that was selected last, or else the first; and those that were in memory.
 * A model that fails to load is no reason not to start: the log says why, and so does the host's status.
 */
async function beginLoading({ host, chosen, before, budgetBytes }: Beginning) {
  const all = await host.list()
  const listed = all.filter(({ kind }) => kind === 'chat')
  const names = listed.map(({ name }) => name)
  const last = before.selected !== undefined && names.includes(before.selected) ? before.selected : names[0]
  const broken = all.filter(({ problem }) => problem !== undefined).map(({ name }) => name)
  // Where nothing else is there, it is the reason why nothing answers.
  const first = chosen ?? last ?? broken[0]
  const selection = first === undefined ? undefined : host.select(first).catch(tellProblemOf(first))
  for (const { name, problem } of all) if (problem !== undefined && name !== first) tellProblemOf(name)(new Error(problem))
  async function loadOthers(): Promise<void> {
    await selection
    for (const { name, header } of listed.filter((model) => model.name !== first && before.loaded.includes(model.name))) {
      const used = (await host.list()).reduce((sum, model) => sum + (model.name === model.base ? model.memoryBytes : 0), 0)
      // Only where there is room: none pushes out another.
      if (used + (header?.estimatedBytes ?? 0) <= budgetBytes) await host.load(name).catch(tellProblemOf(name))
    }
  }
  return { first: selection, all: loadOthers() }
}

const tellProblemOf = (name: string) => (error: unknown) => {
  if (error instanceof AppError && error.code === 'aborted') return
  logChild(`The model "${name}" cannot be used: ${error instanceof Error ? error.message : String(error)}\n`)
}
