import { randomUUID } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import { mostJsonLevels, refuseDeepJson } from '../http/json-depth.ts'
import type { Database } from '../storage/tables.ts'
import { newRow, refuseMore } from './conversations.ts'
import { type ImportItem, readItems } from './import-items.ts'
import { toRow } from './message-rows.ts'
import { mostMessages } from './messages.ts'
import type { Owner } from './owner.ts'
import { createReadChatgpt, isChatgpt } from './read-chatgpt.ts'
import { createReadExported, type ReadConversation } from './read-exported.ts'
import type { ExportedConversation, ImportAnswer } from './schema.ts'
import { titleOf } from './title.ts'

const rowsPerStatement = 200
/** Of what could not be read; the rest is counted in one more. */
const mostTold = 1000

export type ImportParts = Readonly<{ db: Database /** Milliseconds since 1970. */; now: () => number }>

/**
 * Keeps the conversations of a file, under new ids: our own lines, or the `conversations.json` of ChatGPT. Each is kept whole or not at
 * all, and told of where it is not. Throws `invalid` for an empty file, and `aborted`.
 */
export async function importConversations(
  { db, now }: ImportParts,
  owner: Owner,
  chunks: AsyncIterable<string>,
  signal: AbortSignal,
): Promise<ImportAnswer> {
  const skipped: ImportAnswer['skipped'] = []
  let imported = 0
  let messages = 0
  let untold = 0
  const readers = { readExported: createReadExported(), readChatgpt: createReadChatgpt() }
  for await (const item of readItems(chunks)) {
    if (signal.aborted) throw new AppError('aborted', 'The import was stopped.')
    const read = readItem(item, readers, now())
    const kept = 'conversation' in read ? await keepIfRoom(db, owner, { ...read, nowMs: now() }) : read
    if ('rows' in kept) {
      messages += kept.rows
      imported += 1
    } else if (skipped.length < mostTold) skipped.push({ line: item.line, reason: kept.problem })
    else untold += 1
    await setImmediate()
  }
  if (imported + skipped.length === 0)
    throw new AppError('invalid', 'The file is empty: a line for each conversation was expected.')
  if (untold > 0) skipped.push({ line: 0, reason: `and ${untold} more` })
  return { imported, messages, skipped }
}

type Readers = Readonly<{
  readExported: ReturnType<typeof createReadExported>
  readChatgpt: ReturnType<typeof createReadChatgpt>
}>

function readItem({ text }: ImportItem, { readExported, readChatgpt }: Readers, nowMs: number): ReadConversation {
  if (text === undefined) return { problem: 'it is too long' }
  const value = parse(text)
  if (value === undefined) return { problem: 'it is not valid JSON' }
  try {
    refuseDeepJson({ value })
  } catch {
    return { problem: `it is nested more than ${mostJsonLevels} levels deep` }
  }
  const read = isChatgpt(value) ? readChatgpt(value, nowMs) : readExported(value)
  if ('conversation' in read && read.conversation.messages.length > mostMessages)
    return { problem: `it has more than ${mostMessages} messages` }
  return read
}

/** Half a surrogate pair, which only an escape can be, has no UTF-8, and would come back as something else. */
function parse(text: string): unknown {
  try {
    if (!/\\u[dD][89a-fA-F]/.test(text)) return JSON.parse(text)
    return JSON.parse(text, (_key, value: unknown) => (typeof value === 'string' ? value.toWellFormed() : value))
  } catch {
    return undefined
  }
}

type Given = Readonly<{ conversation: ExportedConversation; nowMs: number }>

/** Those before it are kept already: that there is no room for more is told of each that has none. */
async function keepIfRoom(db: Database, owner: Owner, given: Given) {
  try {
    return { rows: await keep(db, owner, given) }
  } catch (error) {
    if (error instanceof AppError && error.code === 'conflict') return { problem: error.message }
    throw error
  }
}

async function keep(db: Database, owner: Owner, { conversation: { messages, ...given }, nowMs }: Given): Promise<number> {
  // Nothing was said later than now: it would stand before all others for ever.
  const toMs = (text: string) => Math.min(Date.parse(text), nowMs)
  const toTime = (ms: number) => new Date(ms).toISOString()
  const createdMs = toMs(given.created_at)
  const renewed = messages.map((message) => ({ message, id: randomUUID(), saidMs: toMs(message.created_at) }))
  const ids = new Map<string | null | undefined, string>(renewed.map(({ message, id }) => [message.id, id]))
  const idOf = (id: string | null | undefined) => ids.get(id) ?? null
  const question = messages.find(({ role }) => role === 'user')?.content ?? ''
  const title = given.title.trim() === '' ? titleOf(question) : given.title
  const row = {
    ...newRow(owner, { title, settings: given.settings, createdAt: toTime(createdMs), usedAt: toTime(nowMs) }),
    pinned: given.pinned ? (1 as const) : (0 as const),
    leafId: idOf(given.leaf_message_id),
    updatedAt: toTime(renewed.reduce((latest, { saidMs }) => Math.max(latest, saidMs), createdMs)),
  }
  const rows = renewed.map(({ message: { corrects_id: corrects, ...message }, id, saidMs }) => {
    const correctsId = idOf(corrects)
    const kept = {
      ...message,
      id,
      parent_id: idOf(message.parent_id),
      created_at: toTime(saidMs),
      state: message.state === 'writing' ? ('interrupted' as const) : message.state,
      ...(correctsId === null ? {} : { corrects_id: correctsId }),
    }
    return toRow(kept, row.id)
  })
  await db.transaction().execute(async (transaction) => {
    await refuseMore(transaction, owner, 1)
    await transaction.insertInto('conversations').values(row).execute()
    for (let from = 0; from < rows.length; from += rowsPerStatement) {
      await transaction
        .insertInto('messages')
        .values(rows.slice(from, from + rowsPerStatement))
        .execute()
      // The words of a long one take a second to be learned: others are answered meanwhile.
      await setImmediate()
    }
  })
  return rows.length
}
