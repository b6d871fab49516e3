import { dirname, join } from 'node:path'
import { type CloudSettings, type ProviderSettings, readProviders } from './config/providers-file.ts'
import type { Config, Environment } from './config.ts'
import { anthropicBaseUrl, createAnthropicProvider } from './engine/cloud/anthropic-provider.ts'
import { systemClock } from './engine/cloud/clock.ts'
import type { CloudOptions } from './engine/cloud/cloud-options.ts'
import type { CloudProvider } from './engine/cloud/cloud-provider.ts'
import type { Egress } from './engine/cloud/egress.ts'
import { createOpenaiProvider, openaiBaseUrl } from './engine/cloud/openai-provider.ts'
import type { Elsewhere } from './engine/providers.ts'

/** What holds where the file of providers says nothing. */
const usualLimits = { maxParallel: 16, maxRetries: 2, firstTokenSeconds: 120, idleSeconds: 120, totalSeconds: 1800 }

/**
 * The providers of the settings and of `providers.json` beside `config.json`. `environment` holds the variables that the file names.
 * Throws `invalid` with what is wrong there.
 */
export async function openClouds(config: Config, environment: Environment, egress: Egress): Promise<Elsewhere> {
  const path = join(dirname(config.configFile), 'providers.json')
  const { providers, routes }: CloudSettings = await readProviders(path, config, environment)
  const ceilings = providers.flatMap(({ name, limits: { costPerDayUsd: ceiling } }) =>
    ceiling === undefined ? [] : [[name, ceiling] as const],
  )
  return {
    providers: providers.map((provider) => toProvider(provider, { egress, maxQueue: config.maxQueue })),
    routes,
    ceilings: new Map(ceilings),
  }
}

function toProvider(settings: ProviderSettings, parts: Pick<CloudOptions, 'egress' | 'maxQueue'>): CloudProvider {
  const { name, type, baseUrls, apiKey, models } = settings
  const limits = { ...usualLimits, ...settings.limits }
  const official = type === 'claude' ? [anthropicBaseUrl] : [openaiBaseUrl]
  const options: CloudOptions = {
    ...parts,
    name,
    baseUrls: baseUrls.length > 0 ? baseUrls : official,
    apiKey,
    models,
    timeouts: {
      firstTokenMs: limits.firstTokenSeconds * 1000,
      idleMs: limits.idleSeconds * 1000,
      totalMs: limits.totalSeconds * 1000,
    },
    maxRetries: limits.maxRetries,
    maxParallel: limits.maxParallel,
    clock: systemClock,
    random: Math.random,
  }
  if (type === 'claude') return createAnthropicProvider(options)
  return createOpenaiProvider({ ...options, api: type === 'openai' ? 'openai' : 'compatible' })
}
