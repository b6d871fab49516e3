import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify'
import { defaultRoute } from '../engine/providers.ts'
import { errorBody } from '../http/error-reply.ts'
import { shareOf } from './arms.ts'
import { toToldRule } from './rollout-checks.ts'
import type { Rollout, RolloutEvent } from './rollout-rows.ts'
import type { RolloutStore } from './rollouts.ts'
import type { Rule } from './rule.ts'
import {
  type ChangeBody,
  changeBody,
  type EventAnswer,
  eventPage,
  type PageQuery,
  type PromoteBody,
  pageQuery,
  promoteBody,
  type RollbackBody,
  type RolloutAnswer,
  type RolloutDetail,
  type RuleBody,
  rollbackBody,
  rolloutAnswer,
  rolloutDetail,
  rolloutPage,
  type StartBody,
  startBody,
} from './schema.ts'

export type RolloutRoutesOptions = Readonly<{
  rollouts: RolloutStore
  /** `user:ID`: what the audit calls who asks. */
  userOf: (request: FastifyRequest) => string
}>

type ById = Readonly<{ Params: Readonly<{ id: string }> }>

const tags = ['rollout']
const failures = { '4xx': errorBody, '5xx': errorBody }
const response = { 200: rolloutAnswer, ...failures }

/** What /rollout has, for the admin scope. */
export function rolloutRoutes(options: RolloutRoutesOptions): Readonly<Record<'admin', FastifyPluginAsync>> {
  return {
    admin: async (http) => {
      serveReading(http, options)
      serveChanging(http, options)
      serveEnding(http, options)
    },
  }
}

function serveReading(http: FastifyInstance, { rollouts }: RolloutRoutesOptions): void {
  const list = {
    summary: 'List the rollouts: those that run, then the newest',
    tags,
    querystring: pageQuery,
    response: { 200: rolloutPage, ...failures },
  }
  http.get<{ Querystring: PageQuery }>('/rollout', { schema: list }, async ({ query: { limit, cursor } }) => {
    const { items, nextCursor } = await rollouts.list({ limit, cursor })
    return { items: await Promise.all(items.map((one) => toAnswer(rollouts, one))), next_cursor: nextCursor ?? null }
  })
  const find = { summary: 'A rollout, with how its arms do', tags, response: { 200: rolloutDetail, ...failures } }
  http.get<ById>('/rollout/:id', { schema: find }, async ({ params }) => toDetail(rollouts, await rollouts.get(params.id)))
  const events = {
    summary: 'What was done to all rollouts, newest first',
    tags,
    querystring: pageQuery,
    response: { 200: eventPage, ...failures },
  }
  http.get<{ Querystring: PageQuery }>('/rollout/events', { schema: events }, async ({ query: { limit, cursor } }) =>
    toEvents(await rollouts.events({ limit, cursor })),
  )
  const own = { ...events, summary: 'What was done to a rollout, newest first' }
  http.get<ById & { Querystring: PageQuery }>(
    '/rollout/:id/events',
    { schema: own },
    async ({ params, query: { limit, cursor } }) => toEvents(await rollouts.events({ rolloutId: params.id, limit, cursor })),
  )
}

function serveChanging(http: FastifyInstance, { rollouts, userOf }: RolloutRoutesOptions): void {
  const start = {
    summary: 'Share the requests for a name among models',
    description: 'Each conversation stays with its model. The first arm must be what answers for the name now.',
    tags,
    body: startBody,
    response: { 201: rolloutAnswer, ...failures },
  }
  http.post<{ Body: StartBody }>('/rollout', { schema: start }, async (request, reply) => {
    const { alias = defaultRoute, arms, rule } = request.body
    const started = await rollouts.start(
      { alias, arms, rule: rule === undefined ? undefined : fromRule(rule) },
      { actor: userOf(request) },
    )
    reply.code(201)
    return toAnswer(rollouts, started)
  })
  const change = { summary: 'Change the shares or the rule of a rollout that runs', tags, body: changeBody, response }
  http.patch<ById & { Body: ChangeBody }>('/rollout/:id', { schema: change }, async (request) => {
    const { arms, rule, version } = request.body
    const changes = {
      ...(arms === undefined ? {} : { arms }),
      ...(rule === undefined ? {} : { rule: rule === null ? null : fromRule(rule) }),
      ...(version === undefined ? {} : { version }),
    }
    return toAnswer(rollouts, await rollouts.change(request.params.id, changes, { actor: userOf(request) }))
  })
}

function serveEnding(http: FastifyInstance, { rollouts, userOf }: RolloutRoutesOptions): void {
  const promote = {
    summary: 'End a rollout with one model for all requests',
    description: 'For the alias `default` the model becomes the selected one, as by POST /model.',
    tags,
    body: promoteBody,
    response,
  }
  http.post<ById & { Body: PromoteBody }>(
    '/rollout/:id/promote',
    { schema: promote, preValidation: allowNoBody },
    async (request) =>
      toAnswer(rollouts, await rollouts.promote(request.params.id, request.body.model, { actor: userOf(request) })),
  )
  const rollBack = { summary: 'End a rollout with its first arm for all requests, or undo its promotion', tags, response }
  http.post<ById>('/rollout/:id/rollback', { schema: rollBack }, async (request) =>
    toAnswer(rollouts, await rollouts.rollBack(request.params.id, { actor: userOf(request) })),
  )
  const goBack = {
    summary: 'Go back: roll back what runs for a name, or undo what was promoted last',
    tags,
    body: rollbackBody,
    response,
  }
  http.post<{ Body: RollbackBody }>('/rollout/rollback', { schema: goBack, preValidation: allowNoBody }, async (request) => {
    const { alias = defaultRoute } = request.body
    return toAnswer(rollouts, await rollouts.rollBackAlias(alias, { actor: userOf(request) }))
  })
  const end = { summary: 'End a rollout: the name means what it meant without', tags, response }
  http.post<ById>('/rollout/:id/end', { schema: end }, async (request) =>
    toAnswer(rollouts, await rollouts.end(request.params.id, { actor: userOf(request) })),
  )
}

/** Whose fields may all be left out, may be left out itself. */
async function allowNoBody(request: FastifyRequest): Promise<void> {
  if (request.body === undefined) request.body = {}
}

function fromRule({ min_ratings, promote_when, rollback_when, max_days, require_evaluation }: RuleBody): Rule {
  return {
    minRatings: min_ratings,
    ...(promote_when === undefined ? {} : { promoteWhen: promote_when === 'better' ? 'better' : 'not-worse' }),
    ...(rollback_when === undefined ? {} : { rollbackWhen: rollback_when }),
    ...(max_days === undefined ? {} : { maxDays: max_days }),
    ...(require_evaluation === undefined ? {} : { requireEvaluation: require_evaluation }),
  }
}

async function toAnswer(rollouts: RolloutStore, rollout: Rollout): Promise<RolloutAnswer> {
  const { id, alias, state, version, arms, rule, isActive, createdBy, createdAt, endedAt } = rollout
  return {
    id,
    alias,
    state,
    version,
    arms: arms.map((arm) => ({ model: arm.model, provider: arm.provider, ran_on: arm.ranOn, share: shareOf(arm) })),
    rule: rule === undefined ? null : toToldRule(rule),
    blocked_by: (isActive ? await rollouts.findBlocked(rollout) : undefined) ?? null,
    created_by: createdBy,
    created_at: createdAt,
    ended_at: endedAt,
  }
}

async function toDetail(rollouts: RolloutStore, rollout: Rollout): Promise<RolloutDetail> {
  const { arms, comparisons } = await rollouts.statistics(rollout)
  const problems = await Promise.all(rollout.arms.map(rollouts.findProblem))
  const [baseline] = rollout.arms
  return {
    ...(await toAnswer(rollouts, rollout)),
    statistics: {
      arms: arms.map((arm, at) => ({
        model: arm.model,
        answers: arm.answers,
        rated: arm.rated,
        wins: arm.wins,
        rate: arm.rate ?? null,
        rate_low: arm.rateInterval.low,
        rate_high: arm.rateInterval.high,
        kept: arm.kept,
        rejected: arm.rejected,
        tokens_per_second: arm.tokensPerSecond ?? null,
        first_token_ms: arm.firstTokenMs ?? null,
        latency_ms: arm.latencyMs ?? null,
        problem: problems[at] ?? null,
        passed_by: rollouts.passedByOf(rollout.id, arm.model) ?? null,
      })),
      comparisons: comparisons.map((one) => ({
        candidate: one.candidate,
        baseline: baseline.model,
        difference: one.difference ?? null,
        difference_low: one.differenceInterval.low,
        difference_high: one.differenceInterval.high,
        p_value: one.pValue,
        verdict: one.verdict,
        enough_data: one.hasEnoughData,
      })),
    },
  }
}

function toEvents({ items, nextCursor }: Readonly<{ items: readonly RolloutEvent[]; nextCursor: string | undefined }>) {
  return { items: items.map(toEvent), next_cursor: nextCursor ?? null }
}

function toEvent({ id, rolloutId, actor, action, details, createdAt }: RolloutEvent): EventAnswer {
  return { id, rollout_id: rolloutId, actor, action, details, created_at: createdAt }
}
