import { Compile } from 'typebox/compile'
import Value from 'typebox/value'
import { type ExportedConversation, exportedConversation } from './schema.ts'

/** A conversation of a file, or why it is none. */
export type ReadConversation = Readonly<{ conversation: ExportedConversation }> | Readonly<{ problem: string }>

/** Gives what reads our own exports; what does not belong into one is dropped. Compiled: a long conversation would hold all others up. */
export function createReadExported(): (value: unknown) => ReadConversation {
  const schema = Compile(exportedConversation)
  return (value) => {
    if (!schema.Check(value)) {
      const [problem] = schema.Errors(value)
      return { problem: `${problem?.instancePath || 'the line'} ${problem?.message ?? 'is no conversation'}`.slice(0, 300) }
    }
    Value.Clean(exportedConversation, value)
    const wrong = findDisorder(value)
    return wrong === undefined ? { conversation: value } : { problem: wrong }
  }
}

/** Each message stands after the one that it follows, so that none follows itself. */
function findDisorder({ messages, created_at: begun, leaf_message_id: leaf }: ExportedConversation): string | undefined {
  const seen = new Set<string>()
  // A leap second is a time by its form, and none that can be computed with.
  for (const { created_at: time } of [{ created_at: begun }, ...messages])
    if (Number.isNaN(Date.parse(time))) return `"${time}" is a time that cannot be kept`
  for (const { id, parent_id: parent } of messages) {
    if (seen.has(id)) return `two messages have the id "${id.slice(0, 100)}"`
    if (parent !== null && !seen.has(parent)) return `the message "${id.slice(0, 100)}" follows one that does not come before it`
    seen.add(id)
  }
  return leaf !== null && !seen.has(leaf) ? 'the message that is shown is not among its messages' : undefined
}
