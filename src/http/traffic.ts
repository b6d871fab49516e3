import type { FastifyPluginAsync } from 'fastify'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False: its requests do not count as use of the service. */
    isTraffic?: boolean
  }
}

/** Routes whose requests do not count as use of the service: health, metrics, the files of pages. */
export function asNoTraffic(plugins: readonly FastifyPluginAsync[]): FastifyPluginAsync {
  return async (http) => {
    http.addHook('onRoute', (route) => {
      route.config = { ...route.config, isTraffic: false }
    })
    for (const plugin of plugins) await http.register(plugin)
  }
}
