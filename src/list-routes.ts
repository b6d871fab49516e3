import type { FastifyPluginAsync } from 'fastify'
import type { Access } from './access.ts'
import type { Answers } from './answers.ts'
import { askerOf, userOf } from './asker.ts'
import { openToKeys } from './auth/key-scopes.ts'
import type { RateLimits } from './auth/rate-limit.ts'
import type { Config } from './config.ts'
import type { ConversationsPart } from './conversations-part.ts'
import type { DialectRoutes } from './dialect-routes.ts'
import { egressRoutes } from './egress/routes.ts'
import type { ModelHost } from './engine/provider.ts'
import { type HealthOptions, healthRoutes } from './http/health.ts'
import type { Lifecycle } from './http/lifecycle.ts'
import type { Routes } from './http/server.ts'
import { asNoTraffic } from './http/traffic.ts'
import type { Sockets } from './http/websocket.ts'
import type { Knowledge } from './knowledge.ts'
import type { LearningRoutes } from './learning.ts'
import type { Metrics } from './metrics/metrics.ts'
import { metricsRoutes } from './metrics/routes.ts'
import type { ModelJobs } from './model-jobs.ts'
import { loadRoutes, modelRoutes } from './models/routes.ts'
import { type SelectRoutesOptions, selectRoutes } from './models/select-routes.ts'
import { statusOf } from './models/selected-model.ts'
import type { Outside } from './outside.ts'
import { predictRoutes } from './predict/routes.ts'
import { predictSocketRoutes } from './predict/websocket.ts'
import type { KeepRoutes } from './usage/kept-bytes.ts'
import { usageRoutes } from './usage/routes.ts'
import { webPages } from './web-client/pages.ts'

export type RouteParts = Readonly<{
  config: Config
  host: ModelHost
  health: Pick<HealthOptions, 'version' | 'uptimeSeconds' | 'isDatabaseSlow' | 'checkDatabase'>
  admin: FastifyPluginAsync
  access: Access
  lifecycle: Lifecycle
  metrics: Metrics
  answers: Answers
  learning: LearningRoutes
  limits: RateLimits
  sockets: Sockets
  jobs: ModelJobs
  dialects: DialectRoutes
  knowledge: Knowledge
  conversations: ConversationsPart
  ledger: Outside['ledger']
  /** Wraps what keeps documents and conversations. */
  keep: KeepRoutes
  saveSelection: SelectRoutesOptions['saveSelection']
  prepareReload: SelectRoutesOptions['prepareReload']
  now: () => number
}>

/** Which route is mounted where: this decides who may use it. */
export function listRoutes(parts: RouteParts): Routes {
  return { public: publicRoutes(parts), caller: callerRoutes(parts), user: userRoutes(parts), admin: adminRoutes(parts) }
}

const answeringOf = ({ host, answers, config }: RouteParts) => ({
  host,
  providers: answers.providers,
  localOnly: config.localOnly,
})

function publicRoutes(parts: RouteParts): readonly FastifyPluginAsync[] {
  const { access, config, health, lifecycle, metrics } = parts
  const { isLeaving } = lifecycle
  const engine = () => statusOf(answeringOf(parts))
  return [
    asNoTraffic([
      healthRoutes({ ...health, localOnly: config.localOnly, engine, isLeaving }),
      openToKeys('metrics', [
        metricsRoutes({ metrics, collectorToken: config.metricsToken, requireToken: access.guard.requireUser }),
      ]),
      webPages,
    ]),
    access.auth.public,
  ]
}

function callerRoutes(parts: RouteParts): readonly FastifyPluginAsync[] {
  const { answers, conversations, dialects, jobs, keep, knowledge, learning, limits, sockets } = parts
  const { predict, rollouts } = answers
  return [
    openToKeys('inference', [
      predictRoutes({ predict, askerOf, limit: limits.limitGeneration }),
      predictSocketRoutes({ predict, askerOf, sockets, countGeneration: limits.countGeneration }),
      ...dialects.caller,
      modelRoutes({ ...answeringOf(parts), findShared: rollouts.findShared }),
      ...jobs.caller,
    ]),
    ...knowledge.caller,
    keep(conversations.caller),
    ...learning.caller,
  ]
}

function userRoutes({ access, answers, keep, knowledge, learning, now }: RouteParts): readonly FastifyPluginAsync[] {
  const { meter } = answers.accounting
  return [
    openToKeys('any', [access.auth.self, usageRoutes({ meter, askerOf, now })]),
    access.auth.user,
    access.keys.user,
    ...learning.user,
    keep(knowledge.user),
  ]
}

function adminRoutes(parts: RouteParts): readonly FastifyPluginAsync[] {
  const { access, admin, answers, config, dialects, jobs, learning, ledger, saveSelection, prepareReload } = parts
  const answering = answeringOf(parts)
  const selecting = {
    ...answering,
    install: jobs.install,
    saveSelection,
    prepareReload,
    userOf,
    onSelect: (actor: string) => answers.rollouts.selectedByHand({ actor }),
  }
  return [
    access.auth.admin,
    access.keys.admin,
    ...learning.admin,
    openToKeys('admin', [
      admin,
      selectRoutes(selecting),
      loadRoutes(answering),
      ...jobs.admin,
      ...dialects.admin,
      egressRoutes({ ledger, localOnly: config.localOnly }),
    ]),
  ]
}
