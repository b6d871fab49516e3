import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { AppError } from '../errors.ts'
import { toAppError } from '../http/error-reply.ts'
import type { Asker } from '../predict/predict.ts'
import type { Database } from '../storage/tables.ts'
import { type Run, type RunParts, startRun } from './answer-run.ts'
import { readBranch } from './branch.ts'
import type { RunEvent } from './followers.ts'
import { type Messages, mostMessages } from './messages.ts'
import type { Owner } from './owner.ts'
import type { BegunAnswer, MessageAnswer, MessageEvent, NewAnswer } from './schema.ts'
import { type WriteParts, writeAnswer } from './write-answer.ts'

/** Answers that are written for one owner at a time. */
export const mostOfOwner = 4
/** For all. */
const mostOfAll = 256

export type AnsweringParts = WriteParts &
  Pick<RunParts, 'waitingFor' | 'isEnding'> &
  Readonly<{
    db: Database
    messages: Messages
    log: FastifyBaseLogger
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
  /** Answers that are being written are kept as far as they have come. */
  close(): Promise<void>
}

type Writing = Readonly<{ conversationId: string; ownerValue: string; begun: Promise<Run> }>

export function createAnswering(parts: AnsweringParts): Answering {
  const { db, messages, log, waitingFor, isEnding, saveEveryMs = 1000 } = parts
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

  async function start({ owner, asker }: Questioner, conversationId: string, given: NewAnswer, id: string) {
    const { question, answer, settings } = await messages.begin(owner, conversationId, given, id)
    if (owner === undefined) throw new AppError('internal', 'A conversation was found that nobody owns.')
    const run = startRun({
      message: withoutVersions(answer),
      async *write(signal) {
        const branch = await readBranch(db, question.id, mostMessages)
        yield* writeAnswer(answers, { conversationId, settings, branch, owner, asker }, signal)
      },
      save: messages.save,
      toAppError: (error) => toAppError(error, log),
      ...{ waitingFor, isEnding, saveEveryMs },
    })
    return { run, begun: { question, answer } }
  }

  const stopAll = async (which: (one: Writing) => boolean, as: 'stopped' | 'interrupted') => {
    const runs = await Promise.allSettled([...writing.values()].filter(which).map(({ begun }) => begun))
    await Promise.all(runs.map((run) => (run.status === 'fulfilled' ? run.value.end(as) : undefined)))
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
      const message = await messages.get(owner, conversationId, messageId)
      return run === undefined ? asEnded(message) : withVersions(run.follow(signal), message)
    },

    async stop(owner, conversationId, messageId) {
      await messages.get(owner, conversationId, messageId)
      const run = await writing.get(messageId)?.begun
      await run?.end('stopped')
      const kept = await messages.get(owner, conversationId, messageId)
      // What could not be saved yet is here alone.
      return run !== undefined && kept.state === 'writing' ? { ...kept, ...run.message() } : kept
    },

    stopAll: (conversationId) => stopAll((one) => one.conversationId === conversationId, 'stopped'),

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
