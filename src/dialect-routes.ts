import type { FastifyPluginAsync } from 'fastify'
import type { Answers } from './answers.ts'
import { askerOf, isAdmin, userOf } from './asker.ts'
import type { RateLimits } from './auth/rate-limit.ts'
import type { Config } from './config.ts'
import { anthropicRoutes } from './dialects/anthropic.ts'
import { ollamaRoutes } from './dialects/ollama.ts'
import { ollamaAdminRoutes } from './dialects/ollama-admin.ts'
import { openaiRoutes } from './dialects/openai.ts'
import { createStoredResponses } from './dialects/openai-responses-store.ts'
import { toAnthropicHeaders, toOpenaiHeaders, withLimitHeaders } from './dialects/rate-limit-headers.ts'
import type { Embedders, Rerankers } from './engine/embedder.ts'
import { chooseSizes } from './engine/local/context-sizes.ts'
import type { ModelHost } from './engine/provider.ts'
import { defaultRoute } from './engine/providers.ts'
import type { ModelJobs } from './model-jobs.ts'
import type { Answering } from './models/selected-model.ts'
import type { Database } from './storage/tables.ts'

export type DialectParts = Readonly<{
  host: ModelHost
  embedders: Embedders
  rerankers: Rerankers
  answers: Answers
  limits: RateLimits
  jobs: ModelJobs
  db: Database
  now: () => number
  /** As of `openSettledTime`. */
  settledNow: () => number
}>

export type DialectRoutes = Readonly<Record<'caller' | 'admin', readonly FastifyPluginAsync[]>>

/** The APIs of OpenAI, Anthropic and Ollama, by the scope that each of their routes is mounted in. */
export function openDialects(config: Config, parts: DialectParts): DialectRoutes {
  const { host, embedders, rerankers, answers, limits, jobs, db, now, settledNow } = parts
  const { predict, providers, accounting, rollouts } = answers
  const { metered } = accounting
  const common = { predict, askerOf, limit: limits.limitGeneration, now }
  const limitHeaders = { findLimits: accounting.findLimits(limits), now }
  const openai = openaiRoutes({
    ...common,
    metered,
    listModels: async () => listModels({ host, providers, localOnly: config.localOnly }, await rollouts.aliases()),
    storedResponses: createStoredResponses({ db, now, settledNow }),
    embedders,
    rerankers,
  })
  const ollama = ollamaRoutes({
    ...common,
    metered,
    host,
    embedders,
    files: jobs.files,
    windowOf: (trained) => chooseSizes(config, trained).contextSize,
    keepAliveMs: config.keepAliveSeconds * 1000,
    isAdmin,
  })
  return {
    caller: [
      withLimitHeaders({ ...limitHeaders, format: toOpenaiHeaders }, [openai]),
      withLimitHeaders({ ...limitHeaders, format: toAnthropicHeaders }, [anthropicRoutes(common)]),
      ollama,
    ],
    admin: [ollamaAdminRoutes({ ...jobs, userOf })],
  }
}

/** Those that answer first: some clients take the first one. */
async function listModels({ host, providers, localOnly }: Answering, aliases: readonly string[]): Promise<readonly string[]> {
  const models = await host.list()
  const namesOf = (wanted: string) => models.flatMap(({ name, aliases, kind }) => (kind === wanted ? [name, ...aliases] : []))
  const reachable = providers.list().filter(({ ranOn }) => !localOnly || ranOn === 'local')
  const elsewhere = reachable.flatMap(({ name, models: known = [] }) => known.map((model) => `${name}/${model.name}`))
  const routes = [...providers.routes().keys()].filter((route) => route !== defaultRoute)
  return [...namesOf('chat'), ...routes, ...aliases, ...elsewhere, ...namesOf('embedding')]
}
