import type { ResolvedItem } from './openai-responses-items.ts'
import type { InputItemList, InputItemsQuery } from './openai-responses-schema.ts'
import { wrongField } from './refuse-fields.ts'

/** A page of the items that a response was asked with. Throws `invalid` for an `after` that is none of them. */
export function listInput(input: readonly ResolvedItem[], { limit = 20, order = 'desc', after }: InputItemsQuery): InputItemList {
  const items = (order === 'asc' ? input : input.toReversed()).map(toListedItem)
  const start = after === undefined ? 0 : items.findIndex(({ id }) => id === after) + 1
  if (after !== undefined && start === 0) throw wrongField('after', 'the id of an item', 'another id')
  const data = items.slice(start, start + limit)
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: start + limit < items.length,
  }
}

/** The full form, where the request had a shorter one. */
function toListedItem(item: ResolvedItem) {
  if (item.type === 'function_call_output' || item.type === 'reasoning') return item
  const status = item.status ?? 'completed'
  if (item.type === 'function_call' || typeof item.content !== 'string') return { ...item, status }
  const part =
    item.role === 'assistant'
      ? { type: 'output_text', text: item.content, annotations: [] }
      : { type: 'input_text', text: item.content }
  return { ...item, status, content: [part] }
}
