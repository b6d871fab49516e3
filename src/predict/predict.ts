import type { GenerateEvent, GenerateRequest, Prompt, Timings, Usage } from '../engine/provider.ts'
import type { Providers } from '../engine/providers.ts'
import type { AppError, ErrorCode } from '../errors.ts'
import { type AnswerCache, cacheKey, isDeterministic } from './cache.ts'
import { type CollectedAnswer, collect, type StoppedChoice } from './collect.ts'
import { type Asked, firstOf } from './first-of.ts'
import { generation } from './generation.ts'
import { openEvents } from './open-events.ts'
import { createRecording } from './recording.ts'

/** What a caller asks for, resolved: the route has filled in the defaults. */
export type PredictRequest = Omit<GenerateRequest, 'user' | 'model'> &
  Readonly<{
    /** The name of the model that must answer; undefined: the selected one. */
    model: string | undefined
    /** The provider that must answer; undefined: the one that is configured. */
    provider: string | undefined
    /** False: the answer is not remembered, as the caller wants it so, or as the service asks for itself. Absent: it may be. */
    remember?: boolean
    /** What the caller asked, where the prompt was made around it. */
    question?: string
    /** How an answer is shown, of the whole text, where that is not as the model wrote it: it is remembered as it was shown. */
    toShown?: (text: string) => string
    /** What the conversation began with, the same in all of its turns. Absent: the beginning of the prompt tells. */
    conversation?: string
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
  /** The rollout that chose the model; absent where none did. */
  rolloutId?: string
}>

export type Completion = Target &
  CollectedAnswer &
  Readonly<{
    id: string
    /** True when the model did not run: the same caller had asked the same before. Usage and timings are those of that time. */
    cached: boolean
  }>

/** What tells who is to answer. */
export type ChooseRequest = Pick<PredictRequest, 'model' | 'provider' | 'conversation'> & Readonly<{ prompt?: Prompt }>

/** A prompt, and what is to read it. */
export type PromptRequest = Readonly<{ prompt: Prompt }> & ChooseRequest

/**
 * An answer that has begun. It must be disposed of (`await using`), so that the model is free whatever happens before, in and after the
 * loop over its events; disposing of one that has ended does nothing.
 */
export type OpenAnswer = AsyncDisposable &
  Readonly<{
    id: string
    /** What answers, known now that it does. */
    target: Target
    /** Piece by piece; the last one is always `generation-end`. Leaving the loop early frees the model. */
    events: AsyncIterable<GenerateEvent>
  }>

/** The one way to an answer, for JSON, SSE, WebSocket and each dialect. */
export interface Predict {
  /**
   * Names what would answer first; of models that share the requests, the one for this conversation of this asker, or else the one that
   * was in use before. Throws `not_found` (model), `invalid` (provider), `unavailable` (no model is selected).
   */
  choose(request: ChooseRequest, asker?: Asker): Promise<Target>
  /**
   * Begins an answer, and gives it when its first piece is there. Never cached. `signal` frees the model at once, whether somebody reads
   * the events or not; so do leaving the loop over them and disposing of the answer. Throws what `choose` and the provider throw,
   * `quota_exceeded`, and `unavailable` when the service is shut down meanwhile; the events throw the same.
   */
  open(request: PredictRequest, asker: Asker, signal: AbortSignal): Promise<OpenAnswer>
  /** The whole answer; from the cache when the request is deterministic and this asker had it before. Throws like `open`. */
  complete(request: PredictRequest, asker: Asker, signal: AbortSignal): Promise<Completion>
  /** The tokens of a prompt, for the model that would answer it. Throws like `open`. */
  countTokens(request: PromptRequest, asker: Asker, signal: AbortSignal): Promise<Readonly<{ target: Target; tokens: number }>>
}

/** What has written an answer, and how fast. */
export type AnsweredBy = Pick<Target, 'provider' | 'model' | 'ranOn'> &
  Readonly<{
    timings: Timings
    /** How many answers to the same prompt there were. */
    choices: number
    /** From the request to the end of its answer. */
    seconds: number
  }>

/** What the pipeline counts. */
export interface PredictMetrics {
  cacheHit(): void
  cacheMiss(): void
  firstToken(seconds: number, target: MeteredTarget): void
  generationEnd(usage: Usage, answer: AnsweredBy): void
  generationFailed(code: ErrorCode, target: MeteredTarget): void
}

/** What uses something up. */
export type MeteredTarget = Pick<Target, 'provider' | 'model' | 'ranOn'>

/** Counts what callers use, and refuses what passes their quota. */
export interface Meter {
  /**
   * Called before a model is asked. `isCounted`: the request was let in at another one before, and counts for who asks no more.
   * Throws `quota_exceeded`, and `forbidden` where a limit on costs cannot be held.
   */
  admit(asker: Asker, target: MeteredTarget, isCounted?: boolean): Promise<void>
  /**
   * Called when an answer has ended, also one from the cache (which used nothing), or was stopped once its prompt was sent (the usage
   * is then an estimate). Never rejects.
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

/** An answer, to be remembered. */
export type RecordedAnswer = Readonly<{
  id: string
  asker: Asker
  request: PredictRequest
  target: Target
  choices: readonly StoppedChoice[]
  /** Undefined where it was stopped before they were known. For an answer from the cache those of the time when it was written. */
  usage: Usage | undefined
  timings: Timings | undefined
}>

/** Remembers answers, so that feedback can name them. */
export interface Recorder {
  /**
   * Called before the end of an answer is told, so that feedback that follows at once finds it; for a stream that was left, stopped or
   * failed, once something of it was told. Never rejects.
   */
  record(answer: RecordedAnswer): Promise<void>
}

/** A model by what its provider calls it. */
export type ModelOfProvider = Readonly<{ provider: string; model: string }>

/** Which model answers. */
export type Drawn = ModelOfProvider &
  Readonly<{
    /** Absent: the requests are shared no more, all go to this one. */
    rolloutId?: string
    /** What answers where this one cannot. */
    otherwise?: ModelOfProvider
  }>

/** Shares the requests for one name among models. */
export interface Rollouts {
  /**
   * Which model answers this request; undefined: the one that it names, or the selected one. Without a prompt and a conversation, the one
   * that was in use before.
   */
  choose(request: ChooseRequest, asker: Asker | undefined): Promise<Drawn | undefined>
  /** Told when `otherwise` has answered, and what stopped the one that was drawn. */
  passedBy(rolloutId: string, drawn: ModelOfProvider, code: ErrorCode): void
}

export type PredictParts = Readonly<{
  /** Absent: nothing is remembered. */
  recorder?: Recorder
  /** Absent: there are none. */
  rollouts?: Rollouts
  providers: Pick<Providers, 'choose'>
  cache: AnswerCache
  admission: Admission
  meter: Meter
  metrics: PredictMetrics
  createId: () => string
  /** Milliseconds that only grow. */
  now: () => number
}>

export function createPredict(parts: PredictParts): Predict {
  const { providers, rollouts, cache, admission, meter, metrics, createId, now } = parts
  const choosing = { providers, rollouts }
  const recorder = parts.recorder ?? noRecorder

  /** Asks one candidate; its first event is there when this resolves. */
  async function begin(
    { provider, target }: Asked,
    { request, asker, admit, isStream }: Asking,
    signal: AbortSignal,
  ): Promise<OpenAnswer> {
    const admitted = admission.admit(signal)
    // Only afterwards: who is not let in has used nothing of a quota.
    await admit(target).catch((error: unknown) => {
      admitted.release()
      throw error
    })
    const id = createId()
    const question = toGenerateRequest(request, target, asker)
    // Of a whole answer nothing is told before it is there.
    const recording = isStream ? createRecording(recorder, { id, asker, request, target }) : undefined
    const counted = { ended: admission.ended, recording, meter, metrics, now }
    const events = await openEvents(
      generation({ provider, request: question, target, asker, admitted, ...counted }),
      admitted.signal,
    )
    return { id, target, events, [Symbol.asyncDispose]: events.close }
  }

  async function complete(request: PredictRequest, asker: Asker, signal: AbortSignal): Promise<Completion> {
    const isKept = isDeterministic(request)
    const asking = { request, asker, admit: letIn(meter, asker), isStream: false }
    const opened = await firstOf(choosing, request, asker, async (asked): Promise<Begun> => {
      const { target, model, provider } = asked
      const question = toGenerateRequest(request, target, asker)
      const key = isKept ? cacheKey({ provider: provider.name, modelIdentity: model.identity, request: question }) : ''
      const known = isKept ? await cache.find(key) : undefined
      if (known === undefined) {
        if (isKept) metrics.cacheMiss()
        return { ...(await begin(asked, asking, signal)), asked, key, known }
      }
      metrics.cacheHit()
      await asking.admit(target)
      await meter.note(asker, target, nothingUsed)
      return { id: createId(), target, asked, key, known }
    })
    const { id, target, asked, key, known } = opened
    if (known !== undefined) {
      await recorder.record({ id, asker, request, target, ...known })
      return { id, ...target, ...known, cached: true }
    }
    const answer = await collect(opened.events)
    await recorder.record({ id, asker, request, target, ...answer })
    // When its file has changed on the way, nobody knows which of the two has answered.
    if (isKept && (await isStill(asked))) await cache.save(key, answer)
    return { id, ...target, ...answer, cached: false }
  }

  return {
    choose: (request, asker) => firstOf(choosing, request, asker, async ({ target }) => target),
    async open(request, asker, signal) {
      const asking = { request, asker, admit: letIn(meter, asker), isStream: true }
      return firstOf(choosing, request, asker, (asked) => begin(asked, asking, signal))
    },
    complete,
    async countTokens(request, asker, signal) {
      const { prompt } = request
      const admit = letIn(meter, asker)
      return firstOf(choosing, request, asker, async ({ provider, target }) => {
        // What leaves this machine counts as a request; counting here takes no model's time.
        if (target.ranOn === 'cloud') await admit(target)
        return { target, tokens: await provider.countTokens({ prompt, model: target.model, user: asker.key }, signal) }
      })
    },
  }
}

/** Lets a request in at one candidate after the other; it counts once for who asks. */
function letIn(meter: Meter, asker: Asker): Asking['admit'] {
  let isCounted = false
  return async (target) => {
    await meter.admit(asker, target, isCounted)
    isCounted = true
  }
}

type Asking = Readonly<{
  request: PredictRequest
  asker: Asker
  admit: (target: MeteredTarget) => Promise<void>
  isStream: boolean
}>

type Begun = Readonly<{ id: string; target: Target; asked: Asked; key: string }> &
  (Readonly<{ known: CollectedAnswer }> | Readonly<{ known: undefined; events: AsyncIterable<GenerateEvent> }>)

async function isStill({ provider, model }: Asked): Promise<boolean> {
  const now = await provider.choose(model.name).catch(() => undefined)
  return now?.identity === model.identity
}

const noRecorder: Recorder = { record: async () => {} }

const nothingUsed: Usage = { promptTokens: 0, completionTokens: 0, cachedPromptTokens: 0 }

function toGenerateRequest(given: PredictRequest, { model }: Target, asker: Asker): GenerateRequest {
  const {
    provider: _provider,
    remember: _remember,
    question: _question,
    toShown: _toShown,
    conversation: _conversation,
    ...request
  } = given
  return { ...request, model, user: asker.key }
}
