import { type App, createApp } from './app.ts'
import { readSelection } from './config/selection.ts'
import type { Config } from './config.ts'
import type { ModelHost } from './engine/provider.ts'
import { AppError } from './errors.ts'

/** The service of these settings, ready to listen; its model may still be loading. */
export async function openService(config: Config, { version }: Readonly<{ version: string }>): Promise<App> {
  const host = await openHost(config, await chooseModel(config))
  return createApp(config, { host, version })
}

/** What was selected last, else DEFAULT_MODEL, else undefined: the first installed. */
async function chooseModel({ configFile, defaultModel, llmProvider }: Config): Promise<string | undefined> {
  const selection = await readSelection(configFile)
  const provider = selection?.provider ?? llmProvider
  if (provider !== 'hf')
    throw new AppError(
      'invalid',
      `The provider "${provider}" is not part of this version. Set it to "hf", the model on this machine.`,
    )
  return selection?.selectedModel ?? defaultModel
}

async function openHost(config: Config, model: string | undefined): Promise<ModelHost> {
  throw new AppError('unavailable', `The engine is not part of this version yet (${config.modelsDir}, ${model}).`)
}
