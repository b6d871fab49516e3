import type { MessageAnswer, MessageEvent } from '../../../src/conversations/schema.ts'
import { applyEvent } from './apply-event.ts'

/** `sending`: a question on its way; `queue` and `model`: what an answer waits for; `connection`: it is asked for again. */
export type Waiting = 'sending' | 'queue' | 'model' | 'connection'
export type MessageFailure = Readonly<{ error: unknown; retry: () => void }>

/** A message as it stands in the conversation. What is read is reactive; pieces of an answer show some times a second. */
export interface ShownMessage {
  /** Of its place in the branch: other versions of it stand there too. */
  readonly key: string
  readonly message: MessageAnswer
  readonly waiting: Waiting | undefined
  /** What went wrong with what was asked of it. */
  readonly failure: MessageFailure | undefined
  /** How long the model thought before it answered, where that was seen. */
  readonly thoughtSeconds: number | undefined
  /** Whether it waits for a place on the service. */
  readonly isDraft: boolean
  set(message: MessageAnswer): void
  apply(event: MessageEvent): void
  wait(forWhat: Waiting | undefined): void
  fail(failure: MessageFailure | undefined): void
}

const draftPrefix = 'draft-'
let drafts = 0

export const newDraftId = (): string => {
  drafts += 1
  return `${draftPrefix}${drafts}`
}

/** The place of a message in a branch: what it follows has no other there. */
export const keyOf = ({ parent_id }: MessageAnswer): string => parent_id ?? 'first'

/** Pieces are shown so often: reading does not need more, and each time the last block of the text is made anew. */
const showEveryMs = 50

export function createShownMessage(first: MessageAnswer, key: string): ShownMessage {
  let shown = $state.raw(first)
  let latest = first
  let waiting = $state<Waiting>()
  let failure = $state.raw<MessageFailure>()
  let thoughtSeconds = $state<number>()
  let thoughtSince: number | undefined
  let cancelFlush: (() => void) | undefined

  function flush() {
    cancelFlush?.()
    cancelFlush = undefined
    shown = latest
  }

  function flushSoon() {
    if (cancelFlush !== undefined) return
    let frame = 0
    // In a page that is hidden no frame comes.
    const timer = setTimeout(() => {
      if (document.hidden) flush()
      else frame = requestAnimationFrame(flush)
    }, showEveryMs)
    cancelFlush = () => {
      cancelAnimationFrame(frame)
      clearTimeout(timer)
    }
  }

  function noteThought(type: MessageEvent['type']) {
    if (type === 'reasoning') thoughtSince ??= performance.now()
    if (type === 'text' && thoughtSince !== undefined) thoughtSeconds ??= (performance.now() - thoughtSince) / 1000
  }

  return {
    key,
    get message() {
      return shown
    },
    get waiting() {
      return waiting
    },
    get failure() {
      return failure
    },
    get thoughtSeconds() {
      return thoughtSeconds
    },
    get isDraft() {
      return shown.id.startsWith(draftPrefix)
    },
    set(message) {
      latest = message
      flush()
    },
    apply(event) {
      noteThought(event.type)
      const isPiece = event.type === 'text' || event.type === 'reasoning' || event.type === 'tool-arguments'
      latest = applyEvent(latest, event)
      if (isPiece) flushSoon()
      else flush()
      waiting = event.type === 'waiting' ? event.for : undefined
    },
    wait(forWhat) {
      waiting = forWhat
      if (forWhat !== undefined) failure = undefined
    },
    fail(told) {
      waiting = undefined
      failure = told
    },
  }
}
