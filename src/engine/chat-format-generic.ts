import type { ChatMessage, Tools } from './provider.ts'

/** The words that tell a model of its tools which knows no form for them. */
function describeTools({ tools, choice }: Tools): string {
  const functions = tools.map(({ name, description, parameters }) => JSON.stringify({ name, description, parameters }))
  const when =
    choice === 'auto'
      ? 'Call a function only when it is needed. Otherwise answer in plain words, not in JSON.'
      : typeof choice === 'string'
        ? 'Answer with such a call now.'
        : `Answer with a call of ${choice.name} now.`
  return [
    'You can call these functions. Each line describes one, with the JSON schema of its arguments:',
    ...functions,
    'To call a function, answer with one JSON object of this form and nothing else:',
    '{"name": "name of the function", "arguments": {its arguments}}',
    when,
  ].join('\n')
}

/** The same conversation in words: for models whose templates know nothing of tools, calls and results. */
export function tellTools(messages: readonly ChatMessage[], tools: Tools | undefined): readonly ChatMessage[] {
  const told: ChatMessage[] = []
  const names = namesOfCalls(messages)
  for (const [place, message] of messages.entries()) {
    const text = tell(message, names)
    // Results that came together are one turn, as many templates want turns to alternate.
    if (message.role === 'tool' && messages[place - 1]?.role === 'tool')
      told.push({ role: 'user', content: `${told.pop()?.content ?? ''}\n\n${text.content}` })
    else told.push(text)
  }
  if (tools === undefined) return told
  const [first, ...rest] = told
  const text = describeTools(tools)
  return first?.role === 'system'
    ? [{ role: 'system', content: `${first.content}\n\n${text}` }, ...rest]
    : [{ role: 'system', content: text }, ...told]
}

function tell(message: ChatMessage, names: ReadonlyMap<string, string>): ChatMessage {
  if (message.role === 'tool') {
    const name = names.get(message.toolCallId)
    return { role: 'user', content: `The function${name === undefined ? '' : ` ${name}`} gave:\n${message.content}` }
  }
  if (message.role !== 'assistant' || message.toolCalls === undefined || message.toolCalls.length === 0) return message
  const calls = message.toolCalls.map(
    ({ name, arguments: json }) => `{"name": ${JSON.stringify(name)}, "arguments": ${json === '' ? '{}' : json}}`,
  )
  return { role: 'assistant', content: [message.content, ...calls].filter((part) => part !== '').join('\n') }
}

/** Which function each call is of, by its id: results tell the id alone. The last of several with one id counts. */
export function namesOfCalls(messages: readonly ChatMessage[]): ReadonlyMap<string, string> {
  const calls = messages.flatMap((message) => (message.role === 'assistant' ? (message.toolCalls ?? []) : []))
  return new Map(calls.map(({ id, name }) => [id, name]))
}
