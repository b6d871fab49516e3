import type { BegunAnswer, ConversationSettings, MessageAnswer } from '../../../src/conversations/schema.ts'
import { noteDone } from '../../first-run/tour.svelte.ts'
import { isUnreached } from '../../shell/pauses.ts'
import { service } from '../../shell/service.ts'
import type { Attachment } from '../shown-conversation.ts'
import { type Comparison, vote } from './comparison.svelte.ts'
import { deliver, untilLoaded, wasHeldUp } from './deliver.ts'
import { feedbackOn, rate } from './feedback.svelte.ts'
import { createShownMessage, keyOf, newDraftId, type ShownMessage } from './shown-message.svelte.ts'
import { versionToCompare } from './versions.ts'

/** What the actions need of the conversation. */
export type Ground = Readonly<{
  id: () => string | undefined
  /** Gives the conversation its place on the service. Throws AppError. */
  ensureKept: () => Promise<string>
  /** Ends with the conversation that is shown. */
  signal: () => AbortSignal
  messages: () => readonly ShownMessage[]
  replace: (messages: readonly ShownMessage[]) => void
  reload: () => Promise<void>
  follow: (answer: ShownMessage) => Promise<void>
  /** Something was said. */
  onSaid: () => void
}>

export type Question = Readonly<{ content: string; attachments: readonly Attachment[] }>
type NewSettings = Pick<ConversationSettings, 'model' | 'provider'>

/** What a person can do with the messages of a conversation. What fails is told at the message. */
export function createActions(ground: Ground) {
  let comparison = $state.raw<Comparison>()
  let delivery: AbortController | undefined
  /** Where the branch behind a message was left, so that its reader comes back to what they saw. */
  const left = new Map<string, string>()
  const shownAnswers = $derived(
    comparison === undefined ? ground.messages() : [...ground.messages(), comparison.left, comparison.right],
  )
  const writing = $derived([...new Set(shownAnswers.filter(isWritten))])
  const isSending = $derived(
    ground.messages().some(({ waiting, isDraft, message }) => waiting !== undefined && (isDraft || message.state === 'failed')),
  )

  function leaveBranch() {
    const kept = ground.messages().filter(({ isDraft }) => !isDraft)
    for (const { message } of kept) left.set(message.id, kept.at(-1)?.message.id ?? message.id)
  }

  /** Shows the branch that the service keeps; a comparison stands until then, so that what it replaced never shows between. */
  async function showBranch() {
    const ended = comparison
    await ground.reload()
    if (comparison === ended) comparison = undefined
  }

  /** Runs what belongs to a message; a failure stands there, with a way to try again. */
  async function at(message: ShownMessage, work: () => Promise<void>): Promise<void> {
    const signal = ground.signal()
    message.fail(undefined)
    try {
      await work()
    } catch (error) {
      if (!signal.aborted) message.fail({ error, retry: () => void at(message, work) })
    }
  }

  async function ask(question: Question): Promise<void> {
    const last = ground.messages().findLast(({ isDraft }) => !isDraft)
    await send(question, last?.message.id ?? null)
  }

  /** Shows a question at once, in the place of what stood there, and has it answered. */
  async function send(question: Question, parentId: string | null): Promise<void> {
    const message = draftMessage(question, parentId)
    leaveBranch()
    const before = ground.messages()
    const place = before.findIndex((one) => !one.isDraft && one.message.parent_id === parentId)
    const kept = place === -1 ? before : before.slice(0, place)
    const isTaken = kept.some(({ key }) => key === keyOf(message))
    const draft = createShownMessage(message, isTaken ? message.id : keyOf(message))
    ground.replace([...kept, draft])
    comparison = undefined
    await sendDraft(draft)
  }

  function sendDraft(draft: ShownMessage): Promise<void> {
    /** The service may have taken it, and only its answer was lost. */
    let isUnsure = false
    return at(draft, async () => {
      const signal = ground.signal()
      const stopping = new AbortController()
      delivery = stopping
      draft.wait('sending')
      const { content, attachments = [], parent_id } = draft.message
      // Meanwhile another question may have taken its place.
      const others = ground.messages().filter((one) => !one.isDraft)
      const isTaken = others.some(({ message }) => message.parent_id === parent_id)
      const begin = async () => {
        const id = await ground.ensureKept()
        const parentId = isTaken ? (others.at(-1)?.message.id ?? null) : parent_id
        const taken = isUnsure ? await findTaken(id, parentId, content) : undefined
        if (taken !== undefined) return taken
        const files = attachments.length === 0 ? {} : { attachments: [...attachments] }
        try {
          return await service.beginAnswer(id, { parent_id: parentId, content, ...files })
        } catch (error) {
          isUnsure ||= isUnreached(error)
          throw error
        }
      }
      const begun = await deliver({ begin, isLoading, onWait: draft.wait }, AbortSignal.any([signal, stopping.signal]))
      noteDone('asked')
      if (signal.aborted) return
      draft.wait(undefined)
      draft.set(begun.question)
      add(begun, [...ground.messages().filter((one) => one !== draft), draft])
    })
  }

  /** The question as the service has it, where it is shown nowhere yet. */
  async function findTaken(id: string, parentId: string | null, content: string): Promise<BegunAnswer | undefined> {
    const { items } = await service.messages(id, { limit: 50 })
    const isNew = (message: MessageAnswer) => !ground.messages().some((one) => one.message.id === message.id)
    const question = items.find((one) => one.parent_id === parentId && one.role === 'user' && one.content === content)
    const answer = items.find((one) => one.parent_id === question?.id && one.role === 'assistant')
    return question !== undefined && answer !== undefined && isNew(question) ? { question, answer } : undefined
  }

  function add({ answer }: BegunAnswer, before: readonly ShownMessage[]) {
    const shown = createShownMessage(answer, keyOf(answer))
    ground.replace([...before, shown])
    ground.onSaid()
    void ground.follow(shown)
    return shown
  }

  /** Has what a message says answered once more: a new version, in the place of the one that stands there. */
  function answerTo(parent: ShownMessage, settings: NewSettings = {}, told = parent): Promise<void> {
    return at(told, async () => {
      const begun = await begin(parent.message.id, settings)
      if (begun === undefined) return
      leaveBranch()
      parent.set(begun.question)
      add(begun, ground.messages().slice(0, ground.messages().indexOf(parent) + 1))
    })
  }

  async function begin(parentId: string, settings: NewSettings): Promise<BegunAnswer | undefined> {
    const id = ground.id()
    if (id === undefined) return undefined
    const signal = ground.signal()
    const begun = await service.beginAnswer(id, {
      parent_id: parentId,
      ...(Object.keys(settings).length === 0 ? {} : { settings }),
    })
    return signal.aborted ? undefined : begun
  }

  /** Has an answer begun once more when the model that it needed has been loaded. */
  async function resume(answer: ShownMessage): Promise<void> {
    if (!wasHeldUp(answer.message)) return
    const stopping = new AbortController()
    delivery = stopping
    answer.wait('model')
    const signal = AbortSignal.any([ground.signal(), stopping.signal])
    const isThere = await untilLoaded(async () => (await service.model()).state, signal)
    answer.wait(undefined)
    if (isThere) await answerAgain(answer)
  }

  const answerAgain = (answer: ShownMessage) => {
    const parent = parentOf(answer)
    return parent === undefined ? Promise.resolve() : answerTo(parent, {}, answer)
  }

  const parentOf = ({ message }: ShownMessage) => ground.messages().find((one) => one.message.id === message.parent_id)

  /** The answer that feedback on a message is about: what a person wrote in its place is theirs. Throws AppError. */
  async function ratedOf(message: MessageAnswer): Promise<MessageAnswer> {
    const id = ground.id()
    if (message.corrects_id === undefined || id === undefined) return message
    const { items } = await service.messages(id, { leaf: message.corrects_id, limit: 1 })
    return items[0] ?? message
  }

  return {
    ratedOf,
    /** The answers that are being written. */
    get writing(): readonly ShownMessage[] {
      return writing
    },
    get isWriting(): boolean {
      return writing.length > 0 || isSending
    },
    get comparison() {
      return comparison
    },
    ask,
    answerTo,
    answerAgain,
    resume,
    /** Asks something else in the place of a question: a branch beside it. */
    editQuestion: (question: ShownMessage, next: Question) => send(next, question.message.parent_id),
    /** Takes a question that was not sent out of the conversation. */
    async discard(draft: ShownMessage): Promise<void> {
      ground.replace(ground.messages().filter((one) => one !== draft))
      await ground.reload()
    },
    showVersion: (message: ShownMessage, versionId: string) =>
      at(message, async () => {
        const id = ground.id()
        if (id === undefined) return
        leaveBranch()
        await service.changeConversation(id, { shown_message_id: left.get(versionId) ?? versionId })
        await showBranch()
      }),
    /** Keeps what an answer should have been, as a version of it from which the conversation goes on. Throws AppError. */
    async correct({ message }: ShownMessage, content: string): Promise<void> {
      const id = ground.id()
      if (id === undefined) return
      const rated = await ratedOf(message)
      const kept = await service.addMessage(id, {
        parent_id: message.parent_id,
        role: 'assistant',
        content,
        corrects_id: message.corrects_id ?? message.id,
      })
      if (rated.prediction_id !== undefined) {
        // An answer that is corrected was not good, unless its reader has said so.
        const rating = feedbackOn(rated.prediction_id)?.rating ?? rated.rating ?? 'down'
        await rate(service, rated.prediction_id, { rating, correction: content })
      }
      await service.changeConversation(id, { shown_message_id: kept.id })
      await ground.reload()
      ground.onSaid()
    },
    /** Gives the model what its tools have said, and lets it go on. */
    answerTools: (answer: ShownMessage, results: ReadonlyArray<Readonly<{ id: string; content: string }>>) =>
      at(answer, async () => {
        const id = ground.id()
        if (id === undefined) return
        for (const { id: callId, content } of results) {
          if (ground.messages().some(({ message }) => message.tool_call_id === callId)) continue
          const parent = ground.messages().at(-1)?.message.id ?? null
          const kept = await service.addMessage(id, { parent_id: parent, role: 'tool', content, tool_call_id: callId })
          ground.replace([...ground.messages(), createShownMessage(kept, keyOf(kept))])
        }
        const last = ground.messages().at(-1)
        if (last !== undefined) await answerTo(last)
      }),
    /** Stops one answer, or all, or the question that waits for its turn. What was written stays. */
    async stop(only?: ShownMessage): Promise<void> {
      delivery?.abort()
      const id = ground.id()
      const stopped = only === undefined ? writing : [only]
      if (id === undefined) return
      await Promise.all(stopped.map((one) => at(one, async () => void (await service.stopAnswer(id, one.message.id)))))
    },
    /** Puts an answer beside one that another model writes now. */
    compareWith: (answer: ShownMessage, settings: NewSettings) =>
      at(answer, async () => {
        const parentId = answer.message.parent_id
        const begun = parentId === null ? undefined : await begin(parentId, settings)
        if (begun === undefined) return
        const right = createShownMessage(begun.answer, answer.key)
        comparison = { key: answer.key, left: answer, right }
        void ground.follow(right)
      }),
    /** Puts an answer beside the version before it. */
    compareVersions: (answer: ShownMessage) =>
      at(answer, async () => {
        const id = ground.id()
        const other = versionToCompare(answer.message)
        if (id === undefined || other === undefined) return
        const { items } = await service.messages(id, { leaf: other, limit: 1 })
        const [message] = items
        if (message === undefined) return
        const left = createShownMessage(message, answer.key)
        comparison = { key: answer.key, left, right: answer }
        if (message.state === 'writing') void ground.follow(left)
      }),
    closeComparison() {
      comparison = undefined
    },
    /** Ends a comparison with the better answer shown; undefined: both are as good, and the one that was shown stays. */
    endComparison: (better: 'left' | 'right' | undefined) => {
      const ended = comparison
      if (ended === undefined) return Promise.resolve()
      return at(ended.right, async () => {
        const id = ground.id()
        const kept = better === undefined ? ground.messages().find(({ key }) => key === ended.key) : await vote(ended, better)
        if (id === undefined || kept === undefined) return
        await service.changeConversation(id, { shown_message_id: kept.message.id })
        await showBranch()
      })
    },
  }
}

const isWritten = ({ message }: ShownMessage): boolean => message.state === 'writing'

const isLoading = async (): Promise<boolean> => {
  const { state } = await service.model()
  return state === 'loading' || state === 'ready' || state === 'unloaded'
}

function draftMessage({ content, attachments }: Question, parentId: string | null): MessageAnswer {
  const id = newDraftId()
  const shared = { id, parent_id: parentId, role: 'user', content, created_at: new Date().toISOString() } as const
  return { ...shared, state: 'done', version_ids: [id], ...(attachments.length === 0 ? {} : { attachments: [...attachments] }) }
}
