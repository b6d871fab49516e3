import type OpenAI from 'openai'
import { AppError } from '../../errors.ts'
import type { CloudOptions } from './cloud-options.ts'
import { type CloudProvider, createCloudProvider } from './cloud-provider.ts'
import { readOpenaiEvents } from './openai-events.ts'
import { type OpenaiApi, toOpenaiParams } from './openai-request.ts'
import type { Attempt, Wire } from './wire.ts'

/** Where OpenAI answers. */
export const openaiBaseUrl = 'https://api.openai.com/v1'

export type OpenaiOptions = CloudOptions & Readonly<{ api: OpenaiApi }>

/** OpenAI, and servers that speak like it, by chat completions. Throws `invalid` for an address that is none. */
export function createOpenaiProvider(options: OpenaiOptions): CloudProvider {
  return createCloudProvider(options, createOpenaiWire(options.name, options.api))
}

function createOpenaiWire(provider: string, api: OpenaiApi): Wire {
  return {
    modelsPath: '/models',
    prepareAnswer(request, model) {
      const params = toOpenaiParams(provider, api, request, model)
      const { choices, stop, logprobs } = request
      return {
        headers: {},
        expects: 'stream',
        async *send(attempt) {
          const chunks = await (await createClient(attempt)).chat.completions.create(params, { signal: attempt.signal })
          yield* readOpenaiEvents(chunks, { provider, choices, stop, wantsLogprobs: logprobs !== undefined })
        },
      }
    },
    prepareCount() {
      throw new AppError('invalid', `The provider "${provider}" cannot count tokens beforehand.`)
    },
  }
}

/** A day: the watch over each try is stricter. */
const noLimitMs = 24 * 60 * 60 * 1000

/**
 * Everything is said, so that nothing is looked for in the environment. The key is in `fetch` alone. Loaded when it is needed: the library
 * takes a tenth of a second, and 30 MB.
 */
async function createClient({ baseUrl, fetch }: Attempt): Promise<OpenAI> {
  const { default: Client } = await import('openai')
  return new Client({
    baseURL: baseUrl,
    apiKey: 'in-the-headers',
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    fetch,
    maxRetries: 0,
    timeout: noLimitMs,
    logLevel: 'off',
  })
}
