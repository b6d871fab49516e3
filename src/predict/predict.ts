import type { ChosenModel, GenerateEvent, GenerateRequest, Prompt, Provider, Usage } from '../engine/provider.ts'
import { type Candidate, canPassOn, type Providers } from '../engine/providers.ts'
import { AppError, type ErrorCode } from '../errors.ts'
import { type AnswerCache, cacheKey, isDeterministic } from './cache.ts'
import { type CollectedAnswer, collect } from './collect.ts'

/** What a caller asks for, resolved: the route has filled in the defaults. */
export type PredictRequest = Omit<GenerateRequest, 'user' | 'model'> &
  Readonly<{
    /** The name of the model that must answer; undefined: the selected one. */
    model: string | undefined
    /** The provider that must answer; undefined: the one that is configured. */
    provider: string | undefined
  }>

/** Who asks. `key` is stable for one user, whatever key they come with, or (for the anonymous) one address: queue turns and cached answers belong to it. */
export type Asker = Readonly<{
  key: string
  authenticated: boolean
  /** Undefined for the anonymous. */
  userId: string | undefined
  /** The API key that the request came with. */
  keyId: string | undefined
}>

/** One that was asked before and could not begin to answer. */
export type PassedBy = Readonly<{ provider: string; model: string | undefined; code: ErrorCode }>

/** What answers, and why. */
export type Target = Readonly<{
  provider: string
  model: string
  ranOn: 'local' | 'cloud'
  /** `requested`: the request named it; `default`: it is selected; `fallback`: those before it in the route could not. */
  why: 'requested' | 'default' | 'fallback'
  passedBy: readonly PassedBy[]
}>

export type Completion = Target &
  CollectedAnswer &
  Readonly<{
    id: string
    /** True when the model did not run: the same caller had asked the same before. Usage and timings are those of that time. */
    cached: boolean
  }>

/** A prompt, and what is to read it. */
export type PromptRequest = Readonly<{ prompt: Prompt }> & Pick<PredictRequest, 'model' | 'provider'>

/** An answer that has begun. */
export type OpenAnswer = Readonly<{
  id: string
  /** What answers, known now that it does. */
  target: Target
  /** Piece by piece; the last one is always `generation-end`. Leaving the loop early frees the model. */
  events: AsyncIterable<GenerateEvent>
}>

/** The one way to an answer, for JSON, SSE, WebSocket and each dialect. */
export interface Predict {
  /** Names what would answer first. Throws `not_found` (model), `invalid` (provider), `unavailable` (no model is selected). */
  choose(request: Pick<PredictRequest, 'model' | 'provider'>): Promise<Target>
  /**
   * Begins an answer, and gives it when its first piece is there. Never cached. `signal` frees the model, and so does leaving the
   * loop over the events, which must be begun. Throws what `choose` and the provider throw, `quota_exceeded`, and `unavailable` when
   * the service is shut down meanwhile; the events throw the same.
   */
  open(request: PredictRequest, asker: Asker, signal: AbortSignal): Promise<OpenAnswer>
  /** The whole answer; from the cache when the request is deterministic and this asker had it before. Throws like `open`. */
  complete(request: PredictRequest, asker: Asker, signal: AbortSignal): Promise<Completion>
  /** The tokens of a prompt, for the model that would answer it. Throws like `open`. */
  countTokens(request: PromptRequest, asker: Asker, signal: AbortSignal): Promise<Readonly<{ target: Target; tokens: number }>>
}

/** What the pipeline counts. */
export interface PredictMetrics {
  cacheHit(): void
  cacheMiss(): void
  firstToken(seconds: number): void
  generationEnd(usage: Usage): void
  generationFailed(code: ErrorCode): void
}

/** What uses something up. */
export type MeteredTarget = Pick<Target, 'provider' | 'model' | 'ranOn'>

/** Counts what callers use, and refuses what passes their quota. */
export interface Meter {
  /** Called before a model is asked. `isCounted`: the same request, which was let in to another before. Throws `quota_exceeded`, `forbidden`. */
  admit(asker: Asker, target: MeteredTarget, isCounted?: boolean): Promise<void>
  /**
   * Called when an answer has ended, also one from the cache (which used nothing), or was stopped (the usage is then an estimate).
   * Never rejects.
   */
  note(asker: Asker, target: MeteredTarget, usage: Usage): Promise<void>
}

/** Lets generations in until the service shuts down; `signal` aborts those that are still running when the grace time is over. */
export interface Admission {
  /** Throws `unavailable` when the service is shutting down. */
  admit(signal: AbortSignal): Readonly<{ signal: AbortSignal; release(): void }>
  /** Why the admitted signal aborted, or undefined when it was the caller's own doing. */
  ended(): AppError | undefined
}

export type PredictParts = Readonly<{
  providers: Pick<Providers, 'choose'>
  cache: AnswerCache
  admission: Admission
  meter: Meter
  metrics: PredictMetrics
  createId: () => string
  /** Milliseconds. */
  now: () => number
}>

export function createPredict(parts: PredictParts): Predict {
  const { providers, cache, meter, metrics, createId } = parts

  /** Asks one candidate; its first event is there when this resolves. */
  async function begin(asked: Asked, { request, asker, admit }: Begin, signal: AbortSignal): Promise<OpenAnswer> {
    const { target } = asked
    await admit(target)
    const iterator = generate(parts, { request, asked, asker }, signal)
    const first = await iterator.next()
    return { id: createId(), target, events: resume(first, iterator) }
  }

  async function complete(request: PredictRequest, asker: Asker, signal: AbortSignal): Promise<Completion> {
    const isKept = isDeterministic(request)
    const admit = admitOnce(meter, asker)
    const opened = await firstOf(providers, request, async (asked): Promise<Begun> => {
      const { target, model, provider } = asked
      const question = toGenerateRequest(request, target, asker)
      const key = isKept ? cacheKey({ provider: provider.name, modelIdentity: model.identity, request: question }) : ''
      const known = isKept ? cache.find(key) : undefined
      if (known === undefined) {
        if (isKept) metrics.cacheMiss()
        return { ...(await begin(asked, { request, asker, admit }, signal)), asked, key, known }
      }
      metrics.cacheHit()
      await admit(target)
      await meter.note(asker, target, nothingUsed)
      return { id: createId(), target, asked, key, known }
    })
    const { id, target, asked, key, known } = opened
    if (known !== undefined) return { id, ...target, ...known, cached: true }
    const answer = await collect(opened.events)
    // When its file has changed on the way, nobody knows which of the two has answered.
    if (isKept && (await isStill(asked))) cache.save(key, answer)
    return { id, ...target, ...answer, cached: false }
  }

  return {
    choose: (request) => firstOf(providers, request, async ({ target }) => target),
    open(request, asker, signal) {
      const admit = admitOnce(meter, asker)
      return firstOf(providers, request, (asked) => begin(asked, { request, asker, admit }, signal))
    },
    complete,
    countTokens: ({ prompt, ...wanted }, asker, signal) =>
      firstOf(providers, wanted, async ({ provider, target }) => {
        return { target, tokens: await provider.countTokens({ prompt, model: target.model, user: asker.key }, signal) }
      }),
  }
}

type Admit = (target: MeteredTarget) => Promise<void>
type Begin = Readonly<{ request: PredictRequest; asker: Asker; admit: Admit }>

/** Lets one request in to all who are asked for it, and counts it once. */
function admitOnce(meter: Meter, asker: Asker): Admit {
  let isCounted = false
  return async (target) => {
    await meter.admit(asker, target, isCounted)
    isCounted = true
  }
}

/** The candidate whose turn it is. */
type Asked = Readonly<{ provider: Provider; model: ChosenModel; target: Target }>

type Begun = Readonly<{ id: string; target: Target; asked: Asked; key: string }> &
  (Readonly<{ known: CollectedAnswer }> | Readonly<{ known: undefined; events: AsyncIterable<GenerateEvent> }>)

/** Gives what the first candidate gives that can; the next one is asked where `canPassOn` says that it may do better. */
async function firstOf<T>(
  providers: PredictParts['providers'],
  wanted: Pick<PredictRequest, 'model' | 'provider'>,
  ask: (asked: Asked) => Promise<T>,
): Promise<T> {
  const { candidates, why } = await providers.choose(wanted)
  const passedBy: PassedBy[] = []
  for (const [index, candidate] of candidates.entries()) {
    let model: ChosenModel | undefined
    try {
      model = await candidate.choose()
      return await ask(toAsked(candidate, model, { why, passedBy }))
    } catch (error) {
      if (!canPassOn(error, candidates.slice(index + 1))) throw error
      passedBy.push({ provider: candidate.provider.name, model: model?.name, code: error.code })
    }
  }
  throw new AppError('internal', 'A choice of providers is empty.')
}

function toAsked({ provider }: Candidate, model: ChosenModel, { why, passedBy }: Pick<Target, 'why' | 'passedBy'>): Asked {
  const reason = passedBy.length > 0 ? 'fallback' : why
  const target = { provider: provider.name, model: model.name, ranOn: provider.ranOn, why: reason, passedBy: [...passedBy] }
  return { provider, model, target }
}

async function isStill({ provider, model }: Asked): Promise<boolean> {
  const now = await provider.choose(model.name).catch(() => undefined)
  return now?.identity === model.identity
}

const nothingUsed: Usage = { promptTokens: 0, completionTokens: 0, cachedPromptTokens: 0 }

/** An iteration whose first step is done. */
async function* resume<T>(first: IteratorResult<T>, iterator: AsyncIterator<T>): AsyncGenerator<T> {
  try {
    for (let next = first; next.done !== true; next = await iterator.next()) yield next.value
  } finally {
    await iterator.return?.()
  }
}

function toGenerateRequest(
  { provider: _provider, ...request }: PredictRequest,
  { model }: Target,
  asker: Asker,
): GenerateRequest {
  return { ...request, model, user: asker.key }
}

type Question = Readonly<{ request: PredictRequest; asked: Asked; asker: Asker }>

async function* generate(
  { admission, meter, metrics, now }: PredictParts,
  { request, asked: { provider, target }, asker }: Question,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  const admitted = admission.admit(signal)
  const startMs = now()
  let started = false
  let ended = false
  let pieces = 0
  try {
    for await (const event of provider.generate(toGenerateRequest(request, target, asker), admitted.signal)) {
      if (!started) {
        started = true
        metrics.firstToken((now() - startMs) / 1000)
      }
      if (event.type === 'generation-end') {
        ended = true
        metrics.generationEnd(event.usage)
        await meter.note(asker, target, event.usage)
      } else if (event.type !== 'choice-end') pieces += 1
      yield event
    }
    if (!ended) throw new AppError('internal', 'The engine stopped before the answer was complete.')
  } catch (error) {
    const reason = admitted.signal.aborted ? (admission.ended() ?? error) : error
    metrics.generationFailed(reason instanceof AppError ? reason.code : 'internal')
    throw reason
  } finally {
    // Nobody passes a quota by leaving before the end.
    if (started && !ended) await meter.note(asker, target, estimateUsage(request, pieces))
    admitted.release()
  }
}

/** Of an answer that was stopped: a token for each piece that it gave, and for four characters of its prompt, images left aside. */
function estimateUsage({ prompt }: PredictRequest, pieces: number): Usage {
  const written = JSON.stringify(prompt, (name, value) => (name === 'images' ? undefined : value))
  return { promptTokens: Math.ceil(written.length / 4), completionTokens: pieces, cachedPromptTokens: 0 }
}
