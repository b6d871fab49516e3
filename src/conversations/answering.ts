import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { AppError } from '../errors.ts'
import { toAppError } from '../http/error-reply.ts'
import type { Admission, Asker } from '../predict/predict.ts'
import type { Database } from '../storage/tables.ts'
import { type Run, type RunParts, startRun } from './answer-run.ts'
import { readBranch } from './branch.ts'
import { followRow } from './follow-row.ts'
import type { RunEvent } from './followers.ts'
import { type Begun, type Messages, mostMessages, mostOfOwner } from './messages.ts'
import type { Owner } from './owner.ts'
import type { BegunAnswer, MessageAnswer, MessageEvent, NewAnswer } from './schema.ts'
import { type WriteParts, writeAnswer } from './write-answer.ts'

/** Answers that this process writes at a time. */
const mostOfAll = 256

/** How often is looked whether another process has stopped an answer, and how long. */
const stopLookMs = 100
const stopWaitMs = 10_000

export type AnsweringParts = WriteParts &
  Pick<RunParts, 'waitingFor' | 'isEnding'> &
  Readonly<{
    db: Database
    messages: Messages
    log: FastifyBaseLogger
    /** Lets an answer begin before its question is kept. Throws `unavailable` when the service ends. */
    admission: Admission
    /** Has the other processes look at what they are asked to do. */
    hint: () => Promise<void>
    saveEveryMs?: number
  }>

/** Who asks, and whose the conversation is. */
export type Questioner = Readonly<{ owner: Owner | undefined; asker: Asker }>

/** Has answers written, whoever listens. Throws `not_found` for conversations and messages of others. */
export interface Answering {
  /**
   * Keeps the question and begins the answer. Throws `busy` when too many are being written, and what keeping throws; whatever goes wrong
   * afterwards stands in the answer.
   */
  begin(by: Questioner, conversationId: string, given: NewAnswer): Promise<BegunAnswer>
  /** What happens to an answer, from all that is there on; ends with it, or when `signal` says that nobody listens. */
  follow(
    owner: Owner | undefined,
    conversationId: string,
    messageId: string,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<MessageEvent>>
  /** Ends an answer where it is; one that has ended stays as it is. */
  stop(owner: Owner | undefined, conversationId: string, messageId: string): Promise<MessageAnswer>
  /** Ends all answers of a conversation. */
  stopAll(conversationId: string): Promise<void>
  /** Ends the answers here that another process was asked to end. */
  look(): Promise<void>
  /** Answers that are being written are kept as far as they have come. */
  close(): Promise<void>
}

type Writing = Readonly<{ conversationId: string; ownerValue: string; begun: Promise<Run> }>

export function createAnswering(parts: AnsweringParts): Answering {
  const { admission, db, messages, log, hint, waitingFor, isEnding, saveEveryMs = 1000 } = parts
  const writing = new Map<string, Writing>()
  const answers: WriteParts = { predict: parts.predict, askDocuments: parts.askDocuments }
  let isClosed = false

  function refuseMany(owner: Owner | undefined): void {
    if (isClosed) throw new AppError('unavailable', 'The service is shutting down.', { retryAfterSeconds: 5 })
    const own = [...writing.values()].filter(({ ownerValue }) => ownerValue === owner?.value).length
    if (own >= mostOfOwner)
      throw new AppError('busy', `${own} answers are being written for you already. Wait for one of them, or stop it.`)
    if (writing.size >= mostOfAll)
      throw new AppError('busy', `${writing.size} answers are being written already. Try again shortly.`)
  }

  async function start(by: Questioner, conversationId: string, given: NewAnswer, id: string) {
    const leaving = new AbortController()
    const admitted = admission.admit(leaving.signal)
    try {
      const begun = await messages.begin(by.owner, conversationId, given, id)
      const run = write(by, conversationId, begun, (signal) => {
        signal.addEventListener('abort', () => leaving.abort(), { once: true })
        if (signal.aborted) leaving.abort()
        return admitted.signal
      })
      void run.ended.finally(admitted.release)
      const { question, answer } = begun
      return { run, begun: { question, answer } }
    } catch (error) {
      admitted.release()
      throw error
    }
  }

  function write(
    { owner, asker }: Questioner,
    conversationId: string,
    begun: Begun,
    letIn: (signal: AbortSignal) => AbortSignal,
  ) {
    const { question, answer, settings } = begun
    if (owner === undefined) throw new AppError('internal', 'A conversation was found that nobody owns.')
    return startRun({
      message: withoutVersions(answer),
      async *write(signal) {
        const admitted = letIn(signal)
        const branch = await readBranch(db, question.id, mostMessages)
        yield* writeAnswer(answers, { conversationId, settings, branch, owner, asker }, admitted)
      },
      save: messages.save,
      toAppError: (error) => toAppError(error, log),
      ...{ waitingFor, isEnding, saveEveryMs },
    })
  }

  const stopAll = async (which: (one: Writing) => boolean, as: 'stopped' | 'interrupted') => {
    const runs = await Promise.allSettled([...writing.values()].filter(which).map(({ begun }) => begun))
    await Promise.all(runs.map((run) => (run.status === 'fulfilled' ? run.value.end(as) : undefined)))
  }

  /** Resolves when it has ended, or has not for long: then it says that it is still being written. */
  async function stopElsewhere(owner: Owner | undefined, conversationId: string, messageId: string): Promise<void> {
    await messages.wishStop({ id: messageId })
    await hint()
    const read = () => messages.get(owner, conversationId, messageId)
    for await (const _event of followRow({ read, everyMs: stopLookMs }, AbortSignal.timeout(stopWaitMs)));
  }

  return {
    async begin(by, conversationId, given) {
      refuseMany(by.owner)
      const id = randomUUID()
      const starting = start(by, conversationId, given, id)
      // Known before its row can be seen, so that whoever sees it can follow it.
      const begun = starting.then(({ run }) => run)
      writing.set(id, { conversationId, ownerValue: by.owner?.value ?? '', begun })
      const forget = () => void writing.delete(id)
      begun.then((run) => run.saved).then(forget, forget)
      return (await starting).begun
    },

    async follow(owner, conversationId, messageId, signal) {
      const run = await writing.get(messageId)?.begun
      const read = () => messages.get(owner, conversationId, messageId)
      const message = await read()
      if (run !== undefined) return withVersions(run.follow(signal), message)
      return (await messages.isWrittenElsewhere(messageId))
        ? followRow({ read, everyMs: saveEveryMs / 2 }, signal)
        : asEnded(message)
    },

    async stop(owner, conversationId, messageId) {
      await messages.get(owner, conversationId, messageId)
      const run = await writing.get(messageId)?.begun
      await run?.end('stopped')
      if (run === undefined && (await messages.isWrittenElsewhere(messageId)))
        await stopElsewhere(owner, conversationId, messageId)
      const kept = await messages.get(owner, conversationId, messageId)
      // What could not be saved yet is here alone.
      return run !== undefined && kept.state === 'writing' ? { ...kept, ...run.message() } : kept
    },

    async stopAll(conversationId) {
      await stopAll((one) => one.conversationId === conversationId, 'stopped')
      await messages.wishStop({ conversationId })
      await hint()
    },

    async look() {
      if (writing.size === 0) return
      for (const id of await messages.listWished()) await (await writing.get(id)?.begun)?.end('stopped')
    },

    async close() {
      isClosed = true
      await stopAll(() => true, 'interrupted')
    },
  }
}

async function* withVersions(events: AsyncIterable<RunEvent>, message: MessageAnswer): AsyncGenerator<MessageEvent> {
  const { version_ids } = message
  for await (const event of events)
    yield event.type === 'snapshot' || event.type === 'end' ? { ...event, message: { ...event.message, version_ids } } : event
}

/** Nobody writes it. */
async function* asEnded(message: MessageAnswer): AsyncGenerator<MessageEvent> {
  const ended: MessageAnswer = message.state === 'writing' ? { ...message, state: 'interrupted' } : message
  yield { type: 'snapshot', message: ended }
  yield { type: 'end', message: ended }
}

function withoutVersions({ version_ids: _versions, rating: _rating, ...message }: MessageAnswer) {
  return message
}
