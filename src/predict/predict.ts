import type { FinishReason, GenerateEvent, GenerateRequest, Provider, Timings, Usage } from '../engine/provider.ts'
import { AppError, type ErrorCode } from '../errors.ts'
import { type AnswerCache, cacheKey, isDeterministic } from './cache.ts'

/** What a caller asks for, resolved: the route has filled in the defaults. */
export type PredictRequest = Omit<GenerateRequest, 'user' | 'model'> &
  Readonly<{
    /** The name of the model that must answer; undefined: the selected one. */
    model: string | undefined
    /** The provider that must answer; undefined: the one that is configured. */
    provider: string | undefined
  }>

/** Who asks. `key` is stable for one user, API key or (for the anonymous) address: queue turns and cached answers belong to it. */
export type Asker = Readonly<{ key: string; authenticated: boolean }>

/** What answers. */
export type Target = Readonly<{ provider: string; model: string; ranOn: 'local' | 'cloud' }>

export type CompletionChoice = Readonly<{ index: number; text: string; reason: FinishReason }>

export type Completion = Target &
  Readonly<{
    id: string
    choices: readonly CompletionChoice[]
    usage: Usage
    timings: Timings
    /** True when the model did not run: the same caller had asked the same before. Usage and timings are those of that time. */
    cached: boolean
  }>

/** The one way to an answer, for JSON, SSE, WebSocket and each dialect. */
export interface Predict {
  /** Names what would answer. Throws `not_found` (model), `invalid` (provider), `unavailable` (no model is selected). */
  choose(request: Pick<PredictRequest, 'model' | 'provider'>): Promise<Target>
  /**
   * Yields the answer piece by piece; the last event is always `generation-end`. Never cached.
   * Leaving the loop early, or `signal`, frees the model. Throws what `choose` and the provider throw, and `unavailable` when
   * the service is shut down meanwhile.
   */
  stream(request: PredictRequest, asker: Asker, signal: AbortSignal): AsyncIterable<GenerateEvent>
  /** The whole answer; from the cache when the request is deterministic and this asker had it before. Throws like `stream`. */
  complete(request: PredictRequest, asker: Asker, signal: AbortSignal): Promise<Completion>
  /** A new name for one prediction, under which feedback can refer to it. */
  createId(): string
}

/** What the pipeline counts. */
export interface PredictMetrics {
  cacheHit(): void
  cacheMiss(): void
  firstToken(seconds: number): void
  generationEnd(usage: Usage): void
  generationFailed(code: ErrorCode): void
}

/** Lets generations in until the service shuts down; `signal` aborts those that are still running when the grace time is over. */
export interface Admission {
  /** Throws `unavailable` when the service is shutting down. */
  admit(signal: AbortSignal): Readonly<{ signal: AbortSignal; release(): void }>
  /** Why the admitted signal aborted, or undefined when it was the caller's own doing. */
  ended(): AppError | undefined
}

export type PredictParts = Readonly<{
  provider: Provider
  cache: AnswerCache
  admission: Admission
  metrics: PredictMetrics
  createId: () => string
  /** Milliseconds. */
  now: () => number
}>

export function createPredict(parts: PredictParts): Predict {
  const { provider, cache, metrics, createId } = parts

  async function* stream(request: PredictRequest, asker: Asker, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
    const { target } = await chooseTarget(provider, request)
    yield* generate(parts, toGenerateRequest(request, target, asker), signal)
  }

  async function complete(request: PredictRequest, asker: Asker, signal: AbortSignal): Promise<Completion> {
    const { target, identity } = await chooseTarget(provider, request)
    const question = toGenerateRequest(request, target, asker)
    if (!isDeterministic(question)) {
      return { id: createId(), ...(await collect(target, generate(parts, question, signal))), cached: false }
    }
    const key = cacheKey({ provider: target.provider, modelIdentity: identity, request: question })
    const known = cache.find(key)
    if (known !== undefined) {
      metrics.cacheHit()
      return { id: createId(), ...known, cached: true }
    }
    metrics.cacheMiss()
    const answer = await collect(target, generate(parts, question, signal))
    // When its file has changed on the way, nobody knows which of the two has answered.
    if (await isStill(provider, target.model, identity)) cache.save(key, answer)
    return { id: createId(), ...answer, cached: false }
  }

  return { choose: async (request) => (await chooseTarget(provider, request)).target, stream, complete, createId }
}

async function chooseTarget(
  provider: Provider,
  request: Pick<PredictRequest, 'model' | 'provider'>,
): Promise<Readonly<{ target: Target; identity: string }>> {
  if (request.provider !== undefined && request.provider !== provider.name) {
    const message = `The provider "${request.provider}" is not configured: this service answers from "${provider.name}" only.`
    throw new AppError('invalid', message, {
      details: [{ field: 'provider', expected: `"${provider.name}", or nothing`, got: `"${request.provider}"` }],
    })
  }
  const { name, identity } = await provider.choose(request.model)
  return { target: { provider: provider.name, model: name, ranOn: provider.ranOn }, identity }
}

async function isStill(provider: Provider, model: string, identity: string): Promise<boolean> {
  const now = await provider.choose(model).catch(() => undefined)
  return now?.identity === identity
}

function toGenerateRequest(
  { provider: _provider, ...request }: PredictRequest,
  { model }: Target,
  asker: Asker,
): GenerateRequest {
  return { ...request, model, user: asker.key }
}

async function* generate(
  { provider, admission, metrics, now }: PredictParts,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  const admitted = admission.admit(signal)
  const startMs = now()
  let started = false
  let ended = false
  try {
    for await (const event of provider.generate(request, admitted.signal)) {
      if (!started) {
        started = true
        metrics.firstToken((now() - startMs) / 1000)
      }
      if (event.type === 'generation-end') {
        ended = true
        metrics.generationEnd(event.usage)
      }
      yield event
    }
    if (!ended) throw new AppError('internal', 'The engine stopped before the answer was complete.')
  } catch (error) {
    const reason = admitted.signal.aborted ? (admission.ended() ?? error) : error
    metrics.generationFailed(reason instanceof AppError ? reason.code : 'internal')
    throw reason
  } finally {
    admitted.release()
  }
}

/** Gathers a whole answer. Throws unless every choice came to its end. */
async function collect(target: Target, events: AsyncIterable<GenerateEvent>): Promise<Omit<Completion, 'id' | 'cached'>> {
  const texts = new Map<number, string>()
  const choices: CompletionChoice[] = []
  for await (const event of events) {
    switch (event.type) {
      case 'text-delta':
        texts.set(event.index, (texts.get(event.index) ?? '') + event.text)
        break
      case 'choice-end':
        choices.push({ index: event.index, text: texts.get(event.index) ?? '', reason: event.reason })
        break
      case 'generation-end':
        choices.sort((a, b) => a.index - b.index)
        return { ...target, choices, usage: event.usage, timings: event.timings }
    }
  }
  throw new AppError('internal', 'The engine stopped before the answer was complete.')
}
