import { AppError } from '../errors.ts'
import { wrongField } from './openai-refusal.ts'
import type { InputItem, OutputItem, ResolvedItem } from './openai-responses-items.ts'
import type { Conversation } from './openai-responses-request.ts'
import type { ResponsesBody } from './openai-responses-schema.ts'
import { getStored, type ResponseOwner, type StoredResponses } from './openai-responses-store.ts'

/** Responses that follow each other, at most. */
const longestChain = 1000

type Read = Readonly<{ stored: Pick<StoredResponses, 'find'>; owner: ResponseOwner }>

/**
 * What a request talks about: the responses before it, then its own input, with references followed. Throws `not_found` for a
 * response that is not there or not the owner's, `invalid`.
 */
export async function readConversation(
  read: Read,
  { input, previous_response_id: previous }: Pick<ResponsesBody, 'input' | 'previous_response_id'>,
): Promise<Conversation> {
  const items = typeof input === 'string' ? [toMessageItem(input)] : input
  return {
    earlier: previous === undefined ? [] : await readChain(read, previous),
    input: await Promise.all(items.map((item, index) => resolve(read, item, index))),
  }
}

/** The input of a response, with an id for each item that has none. */
export function nameItems(input: readonly ResolvedItem[], responseId: string): ResolvedItem[] {
  return input.map((item, place) => ({ ...item, id: item.id ?? toItemId(item.type, responseId, `i${place}`) }))
}

/** Oldest first. */
async function readChain({ stored, owner }: Read, last: string): Promise<readonly ResolvedItem[]> {
  const parts: ResolvedItem[][] = []
  for (let id: string | null = last; id !== null; ) {
    if (parts.length === longestChain)
      throw wrongField('previous_response_id', `the last of ${longestChain} responses at most`, 'that of a longer row')
    const { input, response } = await getStored(stored, owner, id, 'previous_response_id')
    parts.push([...input, ...response.output])
    id = response.previous_response_id
  }
  return parts.reverse().flat()
}

const toMessageItem = (content: string): ResolvedItem => ({ type: 'message', role: 'user', content })

async function resolve({ stored, owner }: Read, item: InputItem, index: number): Promise<ResolvedItem> {
  if (item.type !== 'item_reference') return item
  const response = await stored.find(owner, responseIdIn(item.id))
  const items: readonly ResolvedItem[] = response === undefined ? [] : [...response.input, ...response.response.output]
  const found = items.find(({ id }) => id === item.id)
  if (found !== undefined) return found
  const field = `input.${index}.id`
  throw new AppError('not_found', `There is no item "${item.id.slice(0, 100)}". Send the item itself.`, {
    details: [{ field, expected: 'the id of an item of a stored response', got: 'another id' }],
  })
}

const prefixes: Readonly<Record<ResolvedItem['type'], string>> = {
  message: 'msg',
  reasoning: 'rs',
  function_call: 'fc',
  function_call_output: 'fco',
}

/** An id that tells the response which the item belongs to: references need no index. */
export function toItemId(type: OutputItem['type'] | ResolvedItem['type'], responseId: string, place: string): string {
  return `${prefixes[type]}_${responseId.replace(/^resp_/, '')}_${place}`
}

function responseIdIn(itemId: string): string {
  return `resp_${itemId.split('_')[1] ?? ''}`
}
