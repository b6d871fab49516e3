import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'

/** What an API key can be allowed to do, by what routes do. */
export const keyScopes = ['inference', 'documents', 'feedback', 'metrics', 'admin'] as const
export type KeyScope = (typeof keyScopes)[number]

/** What a route demands of a key: a scope, or no more than that the key is good. */
type Demand = KeyScope | 'any'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Which keys may use the route. Without it none may: only a login does. */
    keyScope?: Demand
  }
}

/** Routes that keys with this scope may use, besides those who log in. Whatever is mounted without this is closed to keys. */
export function openToKeys(keyScope: Demand, plugins: readonly FastifyPluginAsync[]): FastifyPluginAsync {
  return async (http) => {
    http.addHook('onRoute', (route) => {
      route.config = { ...route.config, keyScope }
    })
    for (const plugin of plugins) await http.register(plugin)
  }
}

/** Throws `forbidden` unless a key with these scopes may use the route of the request. */
export function refuseOutOfScope({ routeOptions }: FastifyRequest, scopes: readonly KeyScope[]): void {
  const demanded = routeOptions.config.keyScope
  if (demanded === 'any') return
  if (demanded === undefined)
    throw new AppError('forbidden', 'An API key cannot do this, whatever its scopes: log in, and send the token of the login.')
  if (scopes.includes(demanded)) return
  const has = scopes.map((scope) => `"${scope}"`).join(', ')
  throw new AppError('forbidden', `This API key has the scopes ${has}, but this needs "${demanded}". Make a key that has it.`)
}
