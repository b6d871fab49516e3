import { setTimeout as wait } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import type { MessageAnswer, MessageEvent } from './schema.ts'

export type FollowRowParts = Readonly<{
  /** As it is saved now. Throws `not_found` where it is there no more. */
  read: () => Promise<MessageAnswer>
  everyMs: number
}>

/**
 * What happens to an answer that another process writes, from what that has saved: all that is there, then what has been added, then its end.
 * Where that process dies, the end is told as soon as the answer is marked.
 */
export async function* followRow({ read, everyMs }: FollowRowParts, signal: AbortSignal): AsyncGenerator<MessageEvent> {
  let told = await read()
  yield { type: 'snapshot', message: told }
  if (!hasBegun(told)) yield { type: 'waiting', for: 'queue' }
  while (told.state === 'writing') {
    await wait(everyMs, undefined, { signal }).catch(() => undefined)
    if (signal.aborted) return
    const message = await readAgain(read, told)
    yield* eventsBetween(told, message)
    told = message
  }
  yield { type: 'end', message: told }
}

const hasBegun = ({ content, reasoning, tool_calls }: MessageAnswer) =>
  content !== '' || reasoning !== undefined || tool_calls !== undefined

/** A database that cannot be asked now may answer the next time. */
async function readAgain(read: () => Promise<MessageAnswer>, told: MessageAnswer): Promise<MessageAnswer> {
  try {
    return await read()
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    if (error.code === 'not_found') return { ...told, state: 'stopped' }
    if (error.code === 'busy' || error.code === 'unavailable') return told
    throw error
  }
}

/** Pieces where something was added; all of it where something was changed. */
function eventsBetween(before: MessageAnswer, now: MessageAnswer): readonly MessageEvent[] {
  const text = added(before.content, now.content)
  const reasoning = added(before.reasoning ?? '', now.reasoning ?? '')
  const calls = callsBetween(before.tool_calls ?? [], now.tool_calls ?? [])
  if (text === undefined || reasoning === undefined || calls === undefined) return [{ type: 'snapshot', message: now }]
  const { sources = [] } = now
  return [
    ...(sources.length === (before.sources?.length ?? 0) ? [] : [{ type: 'sources' as const, sources }]),
    ...(reasoning === '' ? [] : [{ type: 'reasoning' as const, text: reasoning }]),
    ...(text === '' ? [] : [{ type: 'text' as const, text }]),
    ...calls,
  ]
}

/** Undefined: it does not begin as before. */
const added = (before: string, now: string): string | undefined => (now.startsWith(before) ? now.slice(before.length) : undefined)

type Calls = NonNullable<MessageAnswer['tool_calls']>

function callsBetween(before: Calls, now: Calls): readonly MessageEvent[] | undefined {
  if (before.some(({ id }, index) => now[index]?.id !== id)) return undefined
  const events: MessageEvent[] = []
  for (const [index, { id, name, arguments: text }] of now.entries()) {
    const known = before[index]
    if (known === undefined) events.push({ type: 'tool-call', index, id, name })
    const more = added(known?.arguments ?? '', text)
    if (more === undefined) return undefined
    if (more !== '') events.push({ type: 'tool-arguments', index, text: more })
  }
  return events
}
