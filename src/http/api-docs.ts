import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

// The page brings its own scripts and styles as files; it needs nothing inline and nobody else's server.
const contentSecurityPolicy =
  "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/** GET /openapi.json and the page GET /docs, from the schemas that validate. To be called before the routes are mounted. */
export async function serveApiDocs(http: FastifyInstance, version: string): Promise<void> {
  await http.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'simpleIA',
        version,
        description: 'A local-first LLM service. Errors are {"error":{code,message,details?}}.',
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }, {}],
    },
  })
  await http.register(swaggerUi, { routePrefix: '/docs', staticCSP: contentSecurityPolicy })
  http.get('/openapi.json', { schema: { hide: true } }, async () => http.swagger())
}
