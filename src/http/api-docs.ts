import swagger, { type SwaggerTransform } from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema } from 'fastify'
import type {} from '../auth/key-scopes.ts'
import { type ApiDocument, completeDocument, type DocumentOptions } from './api-document.ts'

// The page brings its own scripts and styles as files; it needs nothing inline and nobody else's server.
const contentSecurityPolicy =
  "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

const description =
  'A local-first LLM service. Errors are {"error":{code,message,details?}}; the APIs of OpenAI, Anthropic and Ollama have their own shapes. ' +
  '`x-callers` says who may call: public, caller (signed in, or anybody where that is allowed), user, admin; `x-key-scope` what an API key ' +
  'must be allowed. Where it is missing, a login alone will do.'

export type ApiDocsOptions = DocumentOptions & Readonly<{ version: string }>

/** GET /openapi.json and the page GET /docs, from the schemas that validate. To be called before the routes are mounted. */
export async function serveApiDocs(http: FastifyInstance, { version, ...options }: ApiDocsOptions): Promise<void> {
  await http.register(swagger, { openapi: { openapi: '3.1.0', info: { title: 'simpleIA', version, description } }, transform })
  let text: string | undefined
  const documentText = () => {
    text ??= makeText(http, options)
    return text
  }
  await http.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: contentSecurityPolicy,
    transformSpecification: () => JSON.parse(documentText()),
  })
  http.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    reply.type('application/json; charset=utf-8')
    return documentText()
  })
}

function makeText(http: FastifyInstance, options: DocumentOptions): string {
  const made: ApiDocument = JSON.parse(JSON.stringify(http.swagger()))
  return JSON.stringify(completeDocument(made, options))
}

/** The document names the rest of a path `name`, and says who may call. */
const transform: SwaggerTransform = ({ schema, url, route }) => {
  const { scope, keyScope } = route.config ?? {}
  const extensions = {
    ...(scope === undefined ? {} : { 'x-callers': scope }),
    ...(keyScope === undefined ? {} : { 'x-key-scope': keyScope }),
  }
  const wildcard = url.endsWith('/*') ? { params: nameOnly } : {}
  const described: FastifySchema = { ...schema, ...wildcard, ...extensions }
  return { schema: described, url: url.replace(/\/\*$/, '/:name') }
}

const nameOnly = {
  type: 'object',
  properties: { name: { type: 'string', minLength: 1, description: 'The name of a model; a `/` in it may be written %2F.' } },
  required: ['name'],
}
