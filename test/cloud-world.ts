import { createAnthropicProvider } from '../src/engine/cloud/anthropic-provider.ts'
import type { CloudOptions } from '../src/engine/cloud/cloud-options.ts'
import type { CloudProvider } from '../src/engine/cloud/cloud-provider.ts'
import { createOpenaiProvider } from '../src/engine/cloud/openai-provider.ts'
import type { GenerateEvent, GenerateRequest, SamplingParameters } from '../src/engine/provider.ts'
import { resolveSampling } from '../src/engine/sampling.ts'
import {
  anthropicMessage,
  anthropicSse,
  callDelta,
  chatCompletion,
  delta,
  messageStart,
  textBlock,
  toolBlock,
} from './cloud-transcripts.ts'
import { createFakeClock } from './fake-clock.ts'
import { createFakeEgress } from './fake-egress.ts'

export const secret = 'sk-test-0123456789abcdef'

/** The three providers, and the words of each for the same. */
export const kinds = {
  claude: {
    path: '',
    create: createAnthropicProvider,
    hello: anthropicMessage('end_turn', textBlock(0, 'Hello', ' there')),
    twoCalls: anthropicMessage(
      'tool_use',
      textBlock(0, 'Let me see.'),
      toolBlock(1, 'call_1', 'weather', '{"city":', '"Lima"}'),
      toolBlock(2, 'call_2', 'clock'),
    ),
    begun: anthropicSse(messageStart(), ...textBlock(0, 'Hello').slice(0, 2)),
    failure: (message: string, type: string) => ({ type: 'error', error: { type, message }, request_id: 'req_1' }),
  },
  openai: ofOpenai('openai'),
  custom: ofOpenai('compatible'),
} as const

function ofOpenai(api: 'openai' | 'compatible') {
  return {
    path: '/v1',
    create: (options: CloudOptions) => createOpenaiProvider({ ...options, api }),
    hello: chatCompletion('stop', delta({ content: 'Hello' }), delta({ content: ' there' })),
    twoCalls: chatCompletion(
      'tool_calls',
      delta({ content: 'Let me see.' }),
      callDelta(0, { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '' } }),
      callDelta(0, { function: { arguments: '{"city":' } }),
      callDelta(0, { function: { arguments: '"Lima"}' } }),
      callDelta(1, { id: 'call_2', type: 'function', function: { name: 'clock', arguments: '' } }),
    ),
    begun: delta({ role: 'assistant', content: '' }) + delta({ content: 'Hello' }),
    failure: (message: string, type: string) => ({ error: { message, type, param: null, code: null } }),
  }
}

export type Kind = keyof typeof kinds

/** A provider of a kind over some servers, with a clock that stands still. */
export function createCloudWorld(kind: Kind, urls: readonly string[], more: Partial<CloudOptions> = {}) {
  const clock = createFakeClock()
  const egress = createFakeEgress()
  const provider: CloudProvider = kinds[kind].create({
    name: kind,
    baseUrls: urls.map((url) => `${url}${kinds[kind].path}`),
    apiKey: secret,
    models: [{ name: 'test-model' }],
    timeouts: { firstTokenMs: 1001, idleMs: 1002, totalMs: 100_000 },
    maxRetries: 2,
    maxParallel: 4,
    maxQueue: 2,
    egress,
    clock,
    random: () => 0,
    ...more,
  })
  return { provider, clock, egress }
}

const usual = { temperature: 0.8, topP: 0.95, topK: 40, minP: 0.05, repeatPenalty: 1 }

/** Where the caller chose nothing. */
export const usualSampling: SamplingParameters = { ...usual, given: [], seed: undefined }

/** Where the caller chose these. */
export function chooses({ seed, frequencyPenalty, presencePenalty, logitBias, ...chosen }: Partial<SamplingParameters>) {
  const others = JSON.parse(JSON.stringify({ frequencyPenalty, presencePenalty, logitBias }))
  return { ...resolveSampling(chosen, usual), ...others, seed } satisfies SamplingParameters
}

export const ask = (more: Partial<GenerateRequest> = {}): GenerateRequest => ({
  model: 'test-model',
  prompt: { type: 'chat', messages: [{ role: 'user', content: 'Hi' }] },
  maxTokens: undefined,
  choices: 1,
  sampling: usualSampling,
  stop: [],
  user: 'user:1',
  ...more,
})

export const never = new AbortController().signal

export async function listEvents(
  provider: CloudProvider,
  request: GenerateRequest = ask(),
  signal: AbortSignal = never,
): Promise<readonly GenerateEvent[]> {
  const events: GenerateEvent[] = []
  for await (const event of provider.generate(request, signal)) events.push(event)
  return events
}

/** What a promise was rejected with. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  )
}
