import { setTimeout as wait } from 'node:timers/promises'
import type { AppError } from '../errors.ts'
import type { Target } from '../predict/predict.ts'
import { toTimingsBody } from '../predict/schema.ts'
import { createFollowers, type RunEvent } from './followers.ts'
import type { KeptMessage } from './message-rows.ts'
import type { AnswerEnd, AnswerEvent } from './write-answer.ts'

export type RunParts = Readonly<{
  /** As it was begun. */
  message: KeptMessage
  write: (signal: AbortSignal) => AsyncIterable<AnswerEvent>
  /** False: it was removed meanwhile. */
  save: (message: KeptMessage) => Promise<boolean>
  /** What is waited for before the first piece. */
  waitingFor: (target: Pick<Target, 'provider' | 'model'>) => Promise<'queue' | 'model'>
  /** Whether the service is about to end. */
  isEnding: () => boolean
  toAppError: (error: unknown) => AppError
  /** What is there is saved so often, and its end tried again. */
  saveEveryMs: number
}>

/** One answer that is being written, whoever listens. */
export type Run = Readonly<{
  /** As far as it has come; one that could not be saved has failed. */
  message(): KeptMessage
  /** From all that is there on. */
  follow(signal: AbortSignal): AsyncGenerator<RunEvent>
  /** Resolves when it has ended, and was saved as it is where that can be. `interrupted`: nothing is tried again afterwards. */
  end(as: 'stopped' | 'interrupted'): Promise<void>
  /** Resolves when its followers were told its end. */
  ended: Promise<void>
  /** Resolves when its end was saved, or is given up. Until then it is here alone. */
  saved: Promise<void>
}>

export function startRun(parts: RunParts): Run {
  const { save, isEnding, toAppError } = parts
  const stopping = new AbortController()
  const givingUp = new AbortController()
  const followers = createFollowers()
  let { message } = parts
  /** What others are told instead, where that could not be saved. */
  let told: KeptMessage | undefined
  let endsAs: 'stopped' | 'interrupted' | undefined
  let waiting: 'queue' | 'model' | undefined = 'queue'
  let isOver = false
  let saving: Promise<AppError | undefined> = Promise.resolve(undefined)
  let looking = Promise.resolve()
  let timer: NodeJS.Timeout | undefined

  /** Gives why it could not be saved. */
  function saveNow(): Promise<AppError | undefined> {
    clearTimeout(timer)
    timer = undefined
    saving = saving.then(async () => {
      try {
        if (!(await save(message))) stopping.abort()
        return undefined
      } catch (error) {
        return toAppError(error)
      }
    })
    return saving
  }

  function change(changes: Partial<KeptMessage>): void {
    message = { ...message, ...changes }
    timer ??= setTimeout(saveNow, parts.saveEveryMs)
  }

  /** Nothing waits for it. */
  async function tellWaiting(target: Pick<Target, 'provider' | 'model'>): Promise<void> {
    const found = await parts.waitingFor(target).catch(() => 'queue' as const)
    if (waiting === undefined) return
    waiting = found
    followers.tell({ type: 'waiting', for: waiting })
  }

  function apply(event: AnswerEvent): void {
    if (event.type === 'chosen') {
      change(whoAnswers(event.target))
      looking = tellWaiting(event.target)
      return
    }
    waiting = undefined
    change(changesOf(event, message))
    if (event.type !== 'begun' && event.type !== 'end') followers.tell(event)
  }

  function fail({ code, message: text }: AppError): void {
    if (endsAs === undefined && isEnding() && (code === 'unavailable' || code === 'aborted')) endsAs = 'interrupted'
    message =
      endsAs === undefined ? { ...message, state: 'failed', error: { code, message: text } } : { ...message, state: endsAs }
  }

  /** Tells why it could not be saved. */
  async function run(): Promise<AppError | undefined> {
    try {
      for await (const event of parts.write(stopping.signal)) apply(event)
    } catch (error) {
      fail(toAppError(error))
    }
    waiting = undefined
    await looking
    if (message.state === 'writing') message = { ...message, state: endsAs ?? 'done' }
    const unsaved = await saveNow()
    // Whoever follows it has the text, at least.
    if (unsaved !== undefined) told = { ...message, state: 'failed', error: { code: unsaved.code, message: unsaved.message } }
    isOver = true
    followers.tell({ type: 'end', message: toldMessage() })
    return unsaved
  }

  /** A disk that is full may have room again. */
  async function saveLater(unsaved: AppError | undefined): Promise<void> {
    for (let failure = unsaved; failure !== undefined && !givingUp.signal.aborted; failure = await saveNow())
      await wait(parts.saveEveryMs, undefined, { signal: givingUp.signal, ref: false }).catch(() => undefined)
  }

  const toldMessage = () => told ?? message
  const running = run()
  const ended = running.then(() => undefined)
  const saved = running.then(saveLater)
  return {
    message: toldMessage,
    follow(signal) {
      const first: RunEvent[] = [{ type: 'snapshot', message: toldMessage() }]
      if (isOver) first.push({ type: 'end', message: toldMessage() })
      else if (waiting !== undefined) first.push({ type: 'waiting', for: waiting })
      return followers.follow(first, signal)
    },
    async end(as) {
      endsAs ??= as
      stopping.abort()
      await ended
      if (as !== 'interrupted') return
      givingUp.abort()
      await saved
    },
    ended,
    saved,
  }
}

const whoAnswers = ({ provider, model, ranOn }: Pick<Target, 'provider' | 'model' | 'ranOn'>) => ({
  provider,
  model,
  ran_on: ranOn,
})

function changesOf(event: Exclude<AnswerEvent, { type: 'chosen' }>, message: KeptMessage): Partial<KeptMessage> {
  const { tool_calls: calls = [] } = message
  switch (event.type) {
    case 'begun':
      return { ...whoAnswers(event.target), prediction_id: event.predictionId }
    case 'text':
      return { content: message.content + event.text }
    case 'reasoning':
      return { reasoning: (message.reasoning ?? '') + event.text }
    case 'tool-call':
      return { tool_calls: calls.toSpliced(event.index, 0, { id: event.id, name: event.name, arguments: '' }) }
    case 'tool-arguments':
      return {
        tool_calls: calls.map((call, index) =>
          index === event.index ? { ...call, arguments: call.arguments + event.text } : call,
        ),
      }
    case 'sources':
      return { sources: event.sources }
    case 'end':
      return ending(event)
  }
}

function ending({ reason, predictionId, target, usage, timings, unsupported }: AnswerEnd): Partial<KeptMessage> {
  return {
    state: 'done',
    ...whoAnswers(target),
    finish_reason: reason,
    ...(predictionId === undefined ? {} : { prediction_id: predictionId }),
    ...(usage === undefined ? {} : { usage: { prompt_tokens: usage.promptTokens, completion_tokens: usage.completionTokens } }),
    ...(timings === undefined ? {} : { timings: timesOf(timings) }),
    ...(unsupported === undefined || unsupported.length === 0 ? {} : { unsupported }),
  }
}

function timesOf(timings: Parameters<typeof toTimingsBody>[0]) {
  const { first_token_ms, tokens_per_second } = toTimingsBody(timings)
  return { first_token_ms, tokens_per_second }
}
