import type { FastifyPluginAsync } from 'fastify'
import Type from 'typebox'
import type { EngineStatus } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import { errorBody } from './error-reply.ts'

export type HealthOptions = Readonly<{
  version: string
  /** Nothing may leave this machine. */
  localOnly: boolean
  engine: () => EngineStatus
  isLeaving: () => boolean
  uptimeSeconds: () => number
  /** Whether a statement has waited for the disk, or for others, within the last minute. */
  isDatabaseSlow: () => boolean
  /** Throws `unavailable` while the database cannot be asked. */
  checkDatabase: () => Promise<void>
}>

const alive = Type.Object({
  status: Type.Literal('ok'),
  version: Type.String(),
  uptime_seconds: Type.Number(),
  local_only: Type.Boolean(),
  database: Type.Union([Type.Literal('ok'), Type.Literal('slow')], {
    description: '`slow`: a statement has taken a second or more within the last minute.',
  }),
})
const ready = Type.Object({ status: Type.Literal('ready') })

/** GET /health: the process lives. GET /health/ready: it can answer prompts and ask its database; 503 with the reason until then and while it ends. */
export function healthRoutes({
  version,
  localOnly,
  engine,
  isLeaving,
  uptimeSeconds,
  isDatabaseSlow,
  checkDatabase,
}: HealthOptions): FastifyPluginAsync {
  return async (http) => {
    const tags = ['service']
    http.get('/health', { schema: { summary: 'Is the process alive?', tags, response: { 200: alive } } }, async () => ({
      status: 'ok' as const,
      version,
      uptime_seconds: Math.round(uptimeSeconds()),
      local_only: localOnly,
      database: isDatabaseSlow() ? ('slow' as const) : ('ok' as const),
    }))

    const response = { 200: ready, 503: errorBody }
    http.get(
      '/health/ready',
      { schema: { summary: 'Can a model answer, and can the database be asked?', tags, response } },
      async () => {
        if (isLeaving()) throw new AppError('unavailable', 'The service is shutting down.')
        const { state, reason } = engine()
        // One that is not in memory now is loaded by the request that needs it.
        if (state !== 'ready' && state !== 'unloaded')
          throw new AppError('unavailable', reason ?? `The model is not ready: ${state}.`)
        await checkDatabase()
        return { status: 'ready' as const }
      },
    )
  }
}
