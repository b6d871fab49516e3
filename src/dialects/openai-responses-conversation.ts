import { AppError } from '../errors.ts'
import type { InputItem, MessageItem, OutputItem, ResolvedItem } from './openai-responses-items.ts'
import type { Conversation } from './openai-responses-request.ts'
import type { ResponsesBody } from './openai-responses-schema.ts'
import { noResponse, type ResponseOwner, type StoredResponse, type StoredResponses } from './openai-responses-store.ts'
import { wrongField } from './refuse-fields.ts'

/** What one request may have read for it: stored responses, and characters of their JSON. docs/openai.md tells them. */
export const readBounds = { responses: 1000, characters: 16 * 1024 * 1024 } as const

type Read = Readonly<{
  stored: Pick<StoredResponses, 'find'>
  owner: ResponseOwner
  bounds?: Readonly<{ responses: number; characters: number }>
}>

/**
 * What a request talks about: the responses before it, then its own input, with references followed. Throws `not_found` for a
 * response that is not there or not the owner's, `invalid`.
 */
export async function readConversation(
  read: Read,
  { input, previous_response_id: previous }: Pick<ResponsesBody, 'input' | 'previous_response_id'>,
): Promise<Conversation> {
  const find = createFinder(read)
  const earlier = previous === undefined ? [] : await readChain(find, previous)
  return { earlier, input: typeof input === 'string' ? [toMessageItem(input)] : await followReferences(find, input) }
}

/** A stored response with its items by their ids. */
type Found = StoredResponse & Readonly<{ items: ReadonlyMap<string, ResolvedItem> }>
/** `field`: where the request names it. */
type Find = (id: string, field: string) => Promise<Found | undefined>

/** Reads each response once, however often it is named. Throws `invalid` where that gets too much. */
function createFinder({ stored, owner, bounds = readBounds }: Read): Find {
  const found = new Map<string, Found>()
  let characters = 0
  return async (id, field) => {
    const known = found.get(id)
    if (known !== undefined) return known
    if (found.size === bounds.responses)
      throw wrongField(field, `such that ${bounds.responses} responses at most are read`, 'more')
    const response = await stored.find(owner, id)
    if (response === undefined) return undefined
    characters += response.characters
    if (characters > bounds.characters)
      throw wrongField(field, `such that ${bounds.characters} characters of stored responses at most are read`, 'more')
    const items = [...response.input, ...response.response.output].map((item) => [item.id ?? '', item] as const)
    const read = { ...response, items: new Map(items) }
    found.set(id, read)
    return read
  }
}

/** The input of a response as it is kept: with an id for each item that has none, and without what no answer depends on. */
export function nameItems(input: readonly ResolvedItem[], responseId: string): ResolvedItem[] {
  return input.map((item, place) => ({ ...withoutUnread(item), id: item.id ?? toItemId(item.type, responseId, `i${place}`) }))
}

function withoutUnread(item: ResolvedItem): ResolvedItem {
  if (item.type === 'function_call') {
    const { parsed_arguments: _parsed, ...kept } = item
    return kept
  }
  if (item.type !== 'message') return item
  const { phase: _phase, content, ...kept } = item
  return { ...kept, content: typeof content === 'string' ? content : content.map(withoutUnreadParts) }
}

type MessagePart = Exclude<MessageItem['content'], string>[number]

function withoutUnreadParts(part: MessagePart): MessagePart {
  switch (part.type) {
    case 'output_text':
      return { type: part.type, text: part.text, annotations: [] }
    case 'input_text':
      return { type: part.type, text: part.text }
    case 'input_image': {
      const { prompt_cache_breakpoint: _breakpoint, ...kept } = part
      return kept
    }
    case 'refusal':
      return part
  }
}

/** Oldest first. */
async function readChain(find: Find, last: string): Promise<readonly ResolvedItem[]> {
  const parts: ResolvedItem[][] = []
  for (let id: string | null = last; id !== null; ) {
    const found: Found = (await find(id, 'previous_response_id')) ?? noResponse(id, 'previous_response_id')
    parts.push([...found.input, ...found.response.output])
    id = found.response.previous_response_id
  }
  return parts.reverse().flat()
}

const toMessageItem = (content: string): ResolvedItem => ({ type: 'message', role: 'user', content })

async function followReferences(find: Find, input: readonly InputItem[]): Promise<ResolvedItem[]> {
  const items: ResolvedItem[] = []
  const named = new Set<string>()
  for (const [index, item] of input.entries()) {
    if (item.type !== 'item_reference') {
      items.push(item)
      continue
    }
    const field = `input.${index}.id`
    if (named.has(item.id)) throw wrongField(field, 'an item that is not there yet', 'one that is referred to before')
    named.add(item.id)
    const response = await find(responseIdIn(item.id), field)
    items.push(response?.items.get(item.id) ?? noItem(item.id, field))
  }
  return items
}

function noItem(id: string, field: string): never {
  throw new AppError('not_found', `There is no item "${id.slice(0, 100)}". Send the item itself.`, {
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
