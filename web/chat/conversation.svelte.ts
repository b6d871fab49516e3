import type { ConversationAnswer, ConversationSettings, MessageAnswer } from '../../src/conversations/schema.ts'
import { AppError } from '../../src/errors.ts'
import { addressOf, goTo } from '../shell/router.svelte.ts'
import { service } from '../shell/service.ts'
import { bringBack, takeNewDraft } from './drafts.svelte.ts'
import { conversationItems, noteConversation } from './list/list.svelte.ts'
import { createActions } from './messages/actions.svelte.ts'
import { followAnswer } from './messages/follow-answer.ts'
import { createShownMessage, keyOf, type ShownMessage } from './messages/shown-message.svelte.ts'
import type { ShownConversation } from './shown-conversation.ts'

const pageSize = 50
const mostAtOnce = 500

export type Conversation = ReturnType<typeof createConversation>

/** The conversation that is shown: its messages, and what can be done with them. */
function createConversation() {
  let id = $state<string>()
  let kept = $state.raw<ConversationAnswer>()
  let settings = $state.raw<ConversationSettings>({})
  let messages = $state.raw<readonly ShownMessage[]>([])
  let hasOlder = $state(false)
  let isLoading = $state(false)
  let isLoadingOlder = $state(false)
  let failure = $state.raw<unknown>()
  /** Ends with the conversation that is shown. */
  let leaving = new AbortController()
  const followed = new Set<string>()

  /** Shows a conversation, or the beginning of a new one. */
  async function show(wanted: string | undefined): Promise<void> {
    if (wanted === id) return
    leave()
    id = wanted
    if (wanted !== undefined) await load(wanted)
  }

  /** Reads all anew, as after somebody has signed in. */
  async function reopen(): Promise<void> {
    const same = id
    leave()
    id = same
    if (same !== undefined) await load(same)
  }

  function leave() {
    leaving.abort()
    leaving = new AbortController()
    keepUnsent()
    followed.clear()
    messages = []
    settings = {}
    kept = undefined
    hasOlder = false
    failure = undefined
    isLoading = false
    isLoadingOlder = false
    actions.closeComparison()
  }

  /** A question that could not be sent goes back to where it was typed. */
  function keepUnsent() {
    const unsent = messages.find(({ isDraft, failure }) => isDraft && failure !== undefined)
    if (unsent !== undefined) bringBack(id, { text: unsent.message.content, attachments: unsent.message.attachments ?? [] })
  }

  async function load(wanted: string) {
    const { signal } = leaving
    isLoading = true
    failure = undefined
    try {
      const [conversation, page] = await Promise.all([
        service.conversation(wanted),
        service.messages(wanted, { limit: pageSize }),
      ])
      if (signal.aborted) return
      take(conversation)
      takeBranch(page.items, page.has_more)
    } catch (error) {
      if (!signal.aborted) failure = error
    } finally {
      if (!signal.aborted) isLoading = false
    }
  }

  function take(conversation: ConversationAnswer) {
    kept = conversation
    settings = conversation.settings
  }

  /** Shows a branch; messages that are shown already stay the same objects. */
  function takeBranch(items: readonly MessageAnswer[], more: boolean) {
    const old = new Map(messages.map((shown) => [shown.message.id, shown]))
    const next = items.map((message) => {
      const shown = old.get(message.id)
      if (shown === undefined) return createShownMessage(message, keyOf(message))
      if (!followed.has(message.id)) shown.set(message)
      return shown
    })
    // What leads to a message is the same in all branches.
    const before = messages.findIndex(({ message }) => message.id === items[0]?.id)
    if (before <= 0) hasOlder = more
    messages = before <= 0 ? next : [...messages.slice(0, before), ...next]
    for (const shown of messages) if (shown.message.state === 'writing') void follow(shown)
  }

  /** Reads the branch that is shown once more, as after a change of version. */
  async function reload(): Promise<void> {
    if (id === undefined) return
    const { signal } = leaving
    const limit = Math.min(mostAtOnce, Math.max(pageSize, messages.length + 2))
    const page = await service.messages(id, { limit })
    if (signal.aborted) return
    keepUnsent()
    takeBranch(page.items, page.has_more)
  }

  const isAtRest = () =>
    !isLoading && !actions.isWriting && actions.comparison === undefined && !messages.some(({ isDraft }) => isDraft)

  /** Shows what was done to the conversation elsewhere, as in another tab. Never throws: what fails is asked for again. */
  async function keepUp(): Promise<void> {
    if (id === undefined || kept === undefined || !isAtRest()) return
    const { signal } = leaving
    const [known, shown] = [kept, messages.at(-1)?.message.id]
    try {
      const now = await service.conversation(id)
      if (signal.aborted || kept !== known || !isAtRest()) return
      kept = now
      if (JSON.stringify(now.settings) !== JSON.stringify(known.settings)) settings = now.settings
      if (now.title !== known.title || now.pinned !== known.pinned) noteConversation(now)
      if (now.leaf_message_id !== shown) await reload()
    } catch {}
  }

  async function loadOlder(): Promise<void> {
    const [first] = messages
    if (id === undefined || first === undefined || !hasOlder || isLoadingOlder) return
    const { signal } = leaving
    isLoadingOlder = true
    try {
      const page = await service.messages(id, { before: first.message.id, limit: pageSize })
      if (signal.aborted) return
      messages = [...page.items.map((message) => createShownMessage(message, keyOf(message))), ...messages]
      hasOlder = page.has_more
    } finally {
      if (!signal.aborted) isLoadingOlder = false
    }
  }

  /** The conversation's place on the service, made with its first question. */
  async function ensureKept(): Promise<string> {
    if (id !== undefined) return id
    const { signal } = leaving
    const conversation = await service.addConversation({ settings })
    if (signal.aborted) throw new AppError('aborted', 'Another conversation is shown.')
    kept = conversation
    takeNewDraft(conversation.id)
    id = conversation.id
    goTo(addressOf('chat', conversation.id), { replaces: true })
    return conversation.id
  }

  async function follow(answer: ShownMessage): Promise<void> {
    const at = id
    const { signal } = leaving
    const messageId = answer.message.id
    if (at === undefined || followed.has(messageId)) return
    followed.add(messageId)
    try {
      await followAnswer(answer, (one) => service.followAnswer(at, one, signal), signal)
      if (signal.aborted) return
      note()
      void actions.resume(answer)
    } catch (error) {
      answer.fail({ error, retry: () => void follow(answer) })
    } finally {
      if (!signal.aborted) followed.delete(messageId)
    }
  }

  /** Tells the list that something was said; the service makes the title of the first question. */
  function note() {
    if (kept === undefined) return
    const pinned = conversationItems().find(({ id: one }) => one === kept?.id)?.pinned ?? kept.pinned
    noteConversation({ ...kept, title: titleOf(kept), pinned, updated_at: new Date().toISOString() })
  }

  async function refreshTitle() {
    if (id === undefined || (kept !== undefined && titleOf(kept) !== '')) return note()
    const { signal } = leaving
    const conversation = await service.conversation(id).catch(() => undefined)
    if (conversation === undefined || signal.aborted) return
    kept = conversation
    note()
  }

  /** The list knows the newest name. */
  const titleOf = ({ id: one, title }: ConversationAnswer): string =>
    conversationItems().find((item) => item.id === one)?.title || title

  const actions = createActions({
    id: () => id,
    ensureKept,
    signal: () => leaving.signal,
    messages: () => messages,
    replace(next) {
      messages = next
    },
    reload,
    follow,
    onSaid: () => void refreshTitle(),
  })

  const shown: ShownConversation = {
    get id() {
      return id
    },
    get title() {
      return kept === undefined ? '' : titleOf(kept)
    },
    get settings() {
      return settings
    },
    get isWriting() {
      return actions.isWriting
    },
    async changeSettings(next) {
      const before = settings
      settings = next
      if (id === undefined) return
      try {
        await service.changeConversation(id, { settings: next })
      } catch (error) {
        settings = before
        throw error
      }
    },
  }

  return {
    shown,
    actions,
    get messages() {
      return messages
    },
    get hasOlder() {
      return hasOlder
    },
    get isLoading() {
      return isLoading
    },
    get isLoadingOlder() {
      return isLoadingOlder
    },
    /** Why the conversation cannot be shown. */
    get failure() {
      return failure
    },
    show,
    reopen,
    loadOlder,
    keepUp,
  }
}

export const conversation = createConversation()
