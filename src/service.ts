import { availableParallelism } from 'node:os'
import { type App, createApp } from './app.ts'
import { readSelection, writeSelection } from './config/selection.ts'
import type { Config } from './config.ts'
import { type ChatTemplateRenderer, createChatTemplateRenderer } from './engine/chat-template.ts'
import { plainChatStops, renderPlainChat } from './engine/chat-template-plain.ts'
import { openEngine, spawnChild } from './engine/local/engine-process.ts'
import { type ChatPrompt, createLocalProvider } from './engine/local/local-provider.ts'
import type { LoadedModel } from './engine/local/protocol.ts'
import type { ChatMessage, ModelHost } from './engine/provider.ts'
import { AppError } from './errors.ts'
import { openLogStream } from './http/log-stream.ts'
import { createModelRegistry } from './models/registry.ts'

/** The service of these settings, ready to listen; its model may still be loading. */
export async function openService(config: Config, { version }: Readonly<{ version: string }>): Promise<App> {
  const host = await openHost(config, await chooseModel(config))
  return createApp(config, { host, version, logStream: openLogStream(1) })
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

/** The local models; the chosen one begins to load, and whether it does is for the host's status to tell. */
export async function openHost(config: Config, model: string | undefined): Promise<ModelHost> {
  const registry = createModelRegistry(config.modelsDir)
  const renderer = createChatTemplateRenderer()
  const threads = config.threads > 0 ? config.threads : availableParallelism()
  const { contextSize, kvCacheType: cacheType, maxParallel, maxQueue, speculation: speculates, device } = config
  const host = createLocalProvider({
    openEngine: (path, signal) => {
      return openEngine(spawnChild(logEngine), { path, contextSize, cacheType, maxParallel, threads, speculates, device }, signal)
    },
    findModel: registry.find,
    listModels: registry.list,
    renderChat: (loaded, { messages }) => renderChat(renderer, loaded, messages),
    maxParallel,
    maxQueue,
    now: () => performance.now(),
  })
  const chosen = model ?? (await registry.list())[0]
  // A model that fails to load is no reason not to start: the host's status says why nothing answers.
  if (chosen !== undefined) host.load(chosen).catch(() => {})
  return { ...host, close: () => Promise.all([host.close(), renderer.close()]).then(() => {}) }
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

/** What the engine's process writes when it fails. It knows no prompts. */
function logEngine(text: string): void {
  process.stderr.write(text)
}
