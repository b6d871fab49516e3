import { randomUUID } from 'node:crypto'
import { type SqlBool, sql } from 'kysely'
import { AppError } from '../errors.ts'
import { isOrphaned } from '../storage/orphaned.ts'
import type { Database } from '../storage/tables.ts'
import { writeLightly } from '../storage/write-lightly.ts'
import { branchIds } from './branch.ts'
import { type ConversationRow, findOwn, noMessage, refuseForeign } from './conversations.ts'
import { type KeptMessage, readMessages, toRow } from './message-rows.ts'
import type { Owner } from './owner.ts'
import type { BegunAnswer, ConversationSettings, MessageAnswer, MessagesPage, NewAnswer, NewMessage } from './schema.ts'
import { titleOf } from './title.ts'

/** Of all branches of one conversation. */
export const mostMessages = 20_000
/** Of their texts together: little enough that it is read whole for an export, and that an import takes the export. */
export const mostBytes = 24 * 1024 * 1024

export type MessagesParts = Readonly<{
  db: Database
  /** The process that writes the answers which begin here. */
  instanceId: string
  /** Milliseconds since 1970. */
  now: () => number
}>

/** Answers that are written for one owner at a time, in all processes. */
export const mostOfOwner = 4

export type PageOptions = Readonly<{ limit: number; before?: string; leaf?: string }>

/** An answer that is to be written now: its row is there. */
export type Begun = BegunAnswer & Readonly<{ settings: ConversationSettings }>

/** The messages of conversations, by the owner of these. Throws `not_found` for what is not theirs. */
export interface Messages {
  /** Of the branch that is shown, or that ends with `leaf`; the last of it, or of what led to `before`. */
  page(owner: Owner | undefined, conversationId: string, options: PageOptions): Promise<MessagesPage>
  get(owner: Owner | undefined, conversationId: string, id: string): Promise<MessageAnswer>
  /** Keeps a message that nobody answers. Throws `invalid`, `conflict` (its parent is being written; too many messages). */
  add(owner: Owner | undefined, conversationId: string, given: NewMessage): Promise<MessageAnswer>
  /** Keeps a question, where there is a new one, and an answer to be written, under the given id. Throws like `add`. */
  begin(owner: Owner | undefined, conversationId: string, given: NewAnswer, answerId: string): Promise<Begun>
  /** Saves an answer that is being written, or has just ended; false where it is there no more. */
  save(message: KeptMessage): Promise<boolean>
  /** What was being written by a process that has gone stays as it was saved. Tells how many there were. */
  interruptOrphans(): Promise<number>
  /** Whether another process writes it. */
  isWrittenElsewhere(id: string): Promise<boolean>
  /** Asks the processes that write them to stop: one answer, or all of a conversation. */
  wishStop(which: Readonly<{ id: string } | { conversationId: string }>): Promise<void>
  /** The answers that this process writes and is asked to stop. */
  listWished(): Promise<readonly string[]>
}

export function createMessages({ db, instanceId, now }: MessagesParts): Messages {
  const time = () => new Date(now()).toISOString()
  return {
    page: (owner, conversationId, options) => readPage(db, owner, conversationId, options),

    async get(owner, conversationId, id) {
      await findOwn(db, owner, conversationId)
      await refuseForeign(db, conversationId, id)
      return readOne(db, id)
    },

    async add(owner, conversationId, given) {
      const message = { ...toKept(given), id: randomUUID(), created_at: time() }
      await db.transaction().execute(async (transaction) => {
        const conversation = await findOwn(transaction, owner, conversationId)
        await refuseParent(transaction, conversationId, given.parent_id)
        if (given.corrects_id !== undefined) await refuseCorrected(transaction, conversationId, given.corrects_id)
        await insert(transaction, conversation, [message])
      })
      return readOne(db, message.id)
    },

    async begin(owner, conversationId, given, answerId) {
      const { content, attachments = [], parent_id: parentId } = given
      const createdAt = time()
      const { questionId, settings } = await db.transaction().execute(async (transaction) => {
        const conversation = await findOwn(transaction, owner, conversationId)
        await refuseMany(transaction, conversation)
        const parent = await refuseParent(transaction, conversationId, parentId)
        if (content === undefined) refuseUnasked(parent, attachments)
        const question = content === undefined ? [] : [toQuestion({ parentId, content, attachments, createdAt })]
        const questionId = question[0]?.id ?? parentId ?? ''
        const answer = toAnswer({ id: answerId, parentId: questionId, createdAt })
        await insert(transaction, conversation, [...question, answer], instanceId)
        const settings: ConversationSettings = { ...JSON.parse(conversation.settings), ...given.settings }
        return { questionId, settings }
      })
      return { question: await readOne(db, questionId), answer: await readOne(db, answerId), settings }
    },

    async save(message) {
      const { content, state, details, predictionId } = toRow(message, '')
      return writeLightly(db, async (transaction) => {
        const { numUpdatedRows } = await transaction
          .updateTable('messages')
          .set({ content, state, details, predictionId })
          .where('id', '=', message.id)
          .executeTakeFirst()
        return numUpdatedRows > 0n
      })
    },

    async interruptOrphans() {
      const { numUpdatedRows } = await db
        .updateTable('messages')
        .set({ state: 'interrupted' })
        .where(isBeingWritten)
        .where(isOrphaned)
        .executeTakeFirst()
      return Number(numUpdatedRows)
    },

    async isWrittenElsewhere(id) {
      const writing = db.selectFrom('messages').select('instanceId').where('id', '=', id).where(isBeingWritten)
      const row = await writing.executeTakeFirst()
      return row !== undefined && row.instanceId !== null && row.instanceId !== instanceId
    },

    async wishStop(which) {
      const [column, value] = 'id' in which ? (['id', which.id] as const) : (['conversationId', which.conversationId] as const)
      await db.updateTable('messages').set({ wish: 'stop' }).where(column, '=', value).where(isBeingWritten).execute()
    },

    async listWished() {
      const wished = db.selectFrom('messages').select('id').where(isBeingWritten).where('wish', '=', 'stop')
      return (await wished.where('instanceId', '=', instanceId).execute()).map(({ id }) => id)
    },
  }
}

/** As the index of those that are being written has it. */
const isBeingWritten = sql<SqlBool>`messages.state = 'writing'`

async function refuseMany(db: Database, { ownerId, visitor }: ConversationRow): Promise<void> {
  const { count } = await db
    .selectFrom('messages')
    .innerJoin('conversations', 'conversations.id', 'messages.conversationId')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where(isBeingWritten)
    .where(({ eb }) => (ownerId === null ? eb('visitor', '=', visitor) : eb('ownerId', '=', ownerId)))
    .executeTakeFirstOrThrow()
  if (count >= mostOfOwner)
    throw new AppError('busy', `${count} answers are being written for you already. Wait for one of them, or stop it.`)
}

async function readPage(
  db: Database,
  owner: Owner | undefined,
  conversationId: string,
  { limit, before, leaf }: PageOptions,
): Promise<MessagesPage> {
  const { leafId } = await findOwn(db, owner, conversationId)
  for (const id of [before, leaf]) if (id !== undefined) await refuseForeign(db, conversationId, id)
  const last = before === undefined ? (leaf ?? leafId) : before
  if (last === null) return { items: [], has_more: false }
  // One more, which tells that there are more, and one for the message before which the page ends.
  const ids = await branchIds(db, last, limit + (before === undefined ? 1 : 2))
  const wanted = before === undefined ? ids : ids.slice(0, -1)
  return { items: await readMessages(db, wanted.slice(-limit)), has_more: wanted.length > limit }
}

async function readOne(db: Database, id: string): Promise<MessageAnswer> {
  const [message] = await readMessages(db, [id])
  if (message === undefined) throw noMessage(id)
  return message
}

function toKept({ parent_id, role, content, attachments = [], tool_call_id, corrects_id }: NewMessage) {
  if ((role === 'tool') !== (tool_call_id !== undefined))
    throw wrong('tool_call_id', 'that of a call for a result of a tool, and left out otherwise')
  if (corrects_id !== undefined && role !== 'assistant') throw wrong('corrects_id', 'left out but for an answer')
  if (attachments.length > 0 && role !== 'user') throw wrong('attachments', 'left out but for a question')
  refuseUnstorable(content, attachments)
  return {
    ...{ parent_id, role, content, state: 'done' as const },
    ...(attachments.length === 0 ? {} : { attachments }),
    ...(tool_call_id === undefined ? {} : { tool_call_id }),
    ...(corrects_id === undefined ? {} : { corrects_id }),
  }
}

type Question = Pick<Required<NewAnswer>, 'content' | 'attachments'> & Readonly<{ parentId: string | null; createdAt: string }>

function toQuestion({ parentId, content, attachments, createdAt }: Question): KeptMessage {
  const kept = toKept({ parent_id: parentId, role: 'user', content, attachments })
  return { ...kept, id: randomUUID(), created_at: createdAt }
}

const toAnswer = ({ id, parentId, createdAt }: Readonly<Record<'id' | 'parentId' | 'createdAt', string>>): KeptMessage => ({
  id,
  parent_id: parentId,
  role: 'assistant',
  content: '',
  created_at: createdAt,
  state: 'writing',
})

/** Half a surrogate pair has no UTF-8: it would come back as another text. */
function refuseUnstorable(content: string, attachments: ReadonlyArray<Readonly<{ name: string; text: string }>>): void {
  if (!content.isWellFormed()) throw wrong('content', 'whole Unicode characters', 'half a surrogate pair')
  for (const { name, text } of attachments)
    if (!name.isWellFormed() || !text.isWellFormed())
      throw wrong('attachments', 'whole Unicode characters', 'half a surrogate pair')
}

type Parent = Readonly<{ role: KeptMessage['role']; state: KeptMessage['state'] }>

/** Undefined where there is to be none. */
async function refuseParent(db: Database, conversationId: string, id: string | null): Promise<Parent | undefined> {
  if (id === null) return undefined
  const parent = await db
    .selectFrom('messages')
    .select(['role', 'state'])
    .where('id', '=', id)
    .where('conversationId', '=', conversationId)
    .executeTakeFirst()
  if (parent === undefined) throw noMessage(id)
  if (parent.state === 'writing')
    throw new AppError('conflict', 'The message that it follows is still being written. Wait for its end, or stop it.')
  return parent
}

/** What is answered once more must be there, and be no answer itself. */
function refuseUnasked(parent: Parent | undefined, attachments: NonNullable<NewAnswer['attachments']>): void {
  if (parent === undefined || parent.role === 'assistant')
    throw wrong(
      'parent_id',
      'a question or the result of a tool where there is no "content"',
      parent === undefined ? 'null' : 'an answer',
    )
  if (attachments.length > 0) throw wrong('attachments', 'left out where there is no "content"')
}

async function refuseCorrected(db: Database, conversationId: string, id: string): Promise<void> {
  await refuseForeign(db, conversationId, id)
  const corrected = await db.selectFrom('messages').select('role').where('id', '=', id).executeTakeFirst()
  if (corrected?.role !== 'assistant') throw wrong('corrects_id', 'an answer', 'another message')
}

/** The last of them is shown from now on. */
async function insert(
  db: Database,
  conversation: ConversationRow,
  messages: readonly KeptMessage[],
  instanceId: string | null = null,
): Promise<void> {
  const { id, title } = conversation
  const rows = messages.map((message) => ({ ...toRow(message, id), instanceId: message.state === 'writing' ? instanceId : null }))
  await refuseTooMuch(db, id, rows)
  await db.insertInto('messages').values(rows).execute()
  const last = messages.at(-1)
  const question = messages.find(({ role }) => role === 'user')
  await db
    .updateTable('conversations')
    .set({
      ...(last === undefined ? {} : { leafId: last.id, updatedAt: last.created_at, usedAt: last.created_at }),
      ...(title === '' && question !== undefined ? { title: titleOf(question.content) } : {}),
    })
    .where('id', '=', id)
    .execute()
}

type Texts = Readonly<{ content: string; details: string }>

async function refuseTooMuch(db: Database, conversationId: string, more: readonly Texts[]): Promise<void> {
  const there = await db
    .selectFrom('messages')
    .select([
      sql<number>`count(*)`.as('count'),
      sql<number>`coalesce(sum(octet_length(content) + octet_length(details)), 0)`.as('bytes'),
    ])
    .where('conversationId', '=', conversationId)
    .executeTakeFirstOrThrow()
  if (there.count + more.length > mostMessages)
    throw new AppError('conflict', `A conversation may have ${mostMessages} messages, with all branches. Begin another one.`)
  const bytes = more.reduce(
    (sum, { content, details }) => sum + Buffer.byteLength(content) + Buffer.byteLength(details),
    there.bytes,
  )
  if (bytes > mostBytes)
    throw new AppError(
      'conflict',
      `A conversation may have ${mostBytes / 1024 ** 2} MB of text, files and all branches included. Begin another one.`,
    )
}

function wrong(field: string, expected: string, got = 'another value'): AppError {
  return new AppError('invalid', `"${field}" must be ${expected}, but is ${got}.`, { details: [{ field, expected, got }] })
}
