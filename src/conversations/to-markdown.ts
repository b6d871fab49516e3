import { fence } from './fence.ts'
import type { KeptMessage } from './message-rows.ts'

/** A branch of a conversation as a text to read. */
export function toMarkdown(title: string, branch: readonly KeptMessage[]): string {
  return `${[`# ${onOneLine(title) || 'Conversation'}`, ...branch.map(toSection)].join('\n\n')}\n`
}

function toSection(message: KeptMessage): string {
  const { content, attachments = [], tool_calls: calls = [], sources = [], error } = message
  const parts = [
    `## ${headingOf(message)}`,
    ...attachments.map(({ name, text }) => `File "${onOneLine(name)}":\n\n${fence(text)}`),
    content,
    ...calls.map(({ name, arguments: given }) => `Calls ${onOneLine(name)}:\n\n${fence(given)}`),
    sources
      .map(({ number, document, page }) => `[${number}] ${onOneLine(document)}${page === null ? '' : `, page ${page}`}`)
      .join('\n'),
    error === undefined ? '' : `*It failed: ${onOneLine(error.message)}*`,
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}

function headingOf({ role, model }: KeptMessage): string {
  if (role === 'user') return 'User'
  if (role === 'tool') return 'Tool'
  return model === undefined ? 'Assistant' : `Assistant (${onOneLine(model)})`
}

const onOneLine = (text: string) => text.replaceAll(/\s+/g, ' ').trim()
