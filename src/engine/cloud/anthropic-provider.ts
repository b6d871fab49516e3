import type Anthropic from '@anthropic-ai/sdk'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { readAnthropicEvents } from './anthropic-events.ts'
import { samplingVersion, toAnthropicRequest, toCountParams, versionOfCount } from './anthropic-request.ts'
import { nonsense } from './cloud-failure.ts'
import type { CloudOptions } from './cloud-options.ts'
import { type CloudProvider, createCloudProvider } from './cloud-provider.ts'
import type { Attempt, Wire } from './wire.ts'

/** Where Claude answers. */
export const anthropicBaseUrl = 'https://api.anthropic.com'

/** Claude, by the Messages API. Throws `invalid` for an address that is none. */
export function createAnthropicProvider(options: CloudOptions): CloudProvider {
  return createCloudProvider(options, createAnthropicWire(options.name))
}

const countInside = Type.Object({ input_tokens: Type.Integer({ minimum: 0 }) })

function createAnthropicWire(provider: string): Wire {
  return {
    modelsPath: '/v1/models',
    prepareAnswer(request, model) {
      const { params, version, ownStops } = toAnthropicRequest(provider, request, model)
      const forcesAnswer = request.format?.type === 'json-object'
      return {
        headers: { 'anthropic-version': version },
        // Bearer tokens came with the version after it.
        ...(version === samplingVersion ? { keyHeader: 'x-api-key' as const } : {}),
        expects: 'stream',
        async *send(attempt) {
          const client = await createClient(attempt)
          // Not `messages.create`: that writes on the console of models which will be gone some day.
          const request = { body: params, stream: true, signal: attempt.signal }
          const events = await client.post<AsyncIterable<unknown>>('/v1/messages', request)
          yield* readAnthropicEvents(events, { provider, forcesAnswer, ownStops })
        },
      }
    },
    prepareCount(request) {
      const params = toCountParams(provider, request)
      return {
        headers: { 'anthropic-version': versionOfCount },
        expects: 'json',
        async *send(attempt) {
          const answer: unknown = await (await createClient(attempt)).messages.countTokens(params, { signal: attempt.signal })
          if (!Value.Check(countInside, answer)) throw nonsense(provider, 'no count of tokens')
          yield answer.input_tokens
        },
      }
    },
  }
}

/** A day: the watch over each try is stricter. */
const noLimitMs = 24 * 60 * 60 * 1000

/**
 * Everything is said, so that nothing is looked for in the environment. The key is in `fetch` alone. Loaded when it is needed: the library
 * takes a tenth of a second, and 30 MB.
 */
async function createClient({ baseUrl, fetch }: Attempt): Promise<Anthropic> {
  const { default: Client } = await import('@anthropic-ai/sdk')
  return new Client({
    baseURL: baseUrl,
    apiKey: 'in-the-headers',
    authToken: null,
    webhookKey: null,
    fetch,
    maxRetries: 0,
    timeout: noLimitMs,
    logLevel: 'off',
    openTelemetry: false,
  })
}
