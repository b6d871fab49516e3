import type { ChatMessage, ToolCall } from '../engine/provider.ts'
import { joinThoughts, type Thought } from '../engine/thoughts.ts'
import { AppError } from '../errors.ts'
import type {
  AssistantMessageParam,
  DocumentBlock,
  ImageBlock,
  MessageParam,
  SearchResultBlock,
  SystemPrompt,
  TextBlock,
  ToolResultBlock,
  UserMessageParam,
} from './anthropic-blocks.ts'
import { fromThinkingBlock } from './anthropic-thoughts.ts'

/** Claude Code sends figures for Anthropic's accounting as a first block; they change with each request, and so spoil every cache. */
const accounting = 'x-anthropic-billing-header:'

/** The conversation of the wire as ours. Throws `invalid` for a tool result that nothing asked for. */
export function toChatMessages(system: SystemPrompt | undefined, messages: readonly MessageParam[]): ChatMessage[] {
  refuseStrayResults(messages)
  return [...toSystem(system), ...joinTurns(messages).flatMap(toMessages)]
}

/** The tools that results name: those that a search has found. */
export function referencedTools(messages: readonly MessageParam[]): ReadonlySet<string> {
  const contents = messages.flatMap(toolResultsOf).flatMap(({ content = [] }) => (typeof content === 'string' ? [] : content))
  return new Set(contents.flatMap((block) => (block.type === 'tool_reference' ? [block.tool_name] : [])))
}

function refuseStrayResults(messages: readonly MessageParam[]): void {
  const called = new Set<string>()
  for (const [index, message] of messages.entries()) {
    if (message.role === 'assistant' && typeof message.content !== 'string')
      for (const block of message.content) if (block.type === 'tool_use') called.add(block.id)
    const stray = toolResultsOf(message).find(({ tool_use_id: id }) => !called.has(id))
    if (stray === undefined) continue
    const field = `messages.${index}.content`
    const expected = 'results of tool_use blocks before it'
    throw new AppError('invalid', `"${field}" must hold ${expected}, but "${stray.tool_use_id}" is the id of none.`, {
      details: [{ field, expected, got: 'an unknown tool_use_id' }],
    })
  }
}

/** Messages of one speaker after the other are one turn in this dialect; chat templates often refuse them. */
function joinTurns(messages: readonly MessageParam[]): MessageParam[] {
  const turns: MessageParam[][] = []
  for (const message of messages) {
    const turn = turns.at(-1)
    if (turn !== undefined && message.role !== 'system' && turn[0]?.role === message.role) turn.push(message)
    else turns.push([message])
  }
  return turns.flatMap((turn) => (turn.length === 1 ? turn : [toTurn(turn)]))
}

function toTurn(messages: readonly MessageParam[]): MessageParam {
  return messages[0]?.role === 'assistant'
    ? { role: 'assistant', content: messages.flatMap((one) => (one.role === 'assistant' ? toBlocks(one.content) : [])) }
    : { role: 'user', content: messages.flatMap((one) => (one.role === 'user' ? toBlocks(one.content) : [])) }
}

const toBlocks = <Block>(content: string | readonly Block[]): ReadonlyArray<Block | TextBlock> =>
  typeof content === 'string' ? [{ type: 'text', text: content }] : content

const toolResultsOf = ({ role, content }: MessageParam): ToolResultBlock[] =>
  role !== 'user' || typeof content === 'string' ? [] : content.filter((block) => block.type === 'tool_result')

function toSystem(system: SystemPrompt | undefined): ChatMessage[] {
  if (system === undefined) return []
  const texts = typeof system === 'string' ? [system] : system.map(({ text }) => text)
  const content = texts.filter((text) => !text.startsWith(accounting)).join('\n')
  return content === '' ? [] : [{ role: 'system', content }]
}

function toMessages(message: MessageParam): ChatMessage[] {
  switch (message.role) {
    case 'user':
      return fromUser(message.content)
    case 'assistant':
      return [fromAssistant(message.content)]
    case 'system':
      return toSystem(message.content)
  }
}

/** Results of tools first, as the model expects them after its calls; their images follow with what the user says. */
function fromUser(content: UserMessageParam['content']): ChatMessage[] {
  if (typeof content === 'string') return [{ role: 'user', content }]
  const answers: ChatMessage[] = []
  const texts: string[] = []
  const images: string[] = []
  for (const block of content) {
    if (block.type === 'image') images.push(toImage(block))
    else if (block.type === 'tool_result') {
      const result = fromResult(block)
      answers.push({ role: 'tool', content: result.text, toolCallId: block.tool_use_id })
      for (const image of result.images) images.push(image)
    } else texts.push(toText(block))
  }
  if (texts.length === 0 && images.length === 0) return answers
  const said = texts.join('\n')
  return [...answers, images.length === 0 ? { role: 'user', content: said } : { role: 'user', content: said, images }]
}

function fromResult({ content = '', is_error: isError = false }: ToolResultBlock): Readonly<{ text: string; images: string[] }> {
  const blocks = typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content
  const images = blocks.flatMap((block) => (block.type === 'image' ? [toImage(block)] : []))
  const texts = blocks.flatMap((block) => {
    if (block.type === 'image') return []
    return block.type === 'tool_reference' ? [`The tool ${block.tool_name} is available now.`] : [toText(block)]
  })
  const text = texts.join('\n')
  return { text: isError ? `Error: ${text}` : text, images }
}

function toText(block: TextBlock | DocumentBlock | SearchResultBlock): string {
  switch (block.type) {
    case 'text':
      return block.text
    case 'document': {
      const { source, title, context } = block
      const text = source.type === 'text' ? source.data : joinTexts(source.content)
      return [title, context, text].filter((part) => part !== undefined).join('\n')
    }
    case 'search_result':
      return [block.title, block.source, joinTexts(block.content)].join('\n')
  }
}

const joinTexts = (content: string | readonly TextBlock[]) =>
  typeof content === 'string' ? content : content.map(({ text }) => text).join('\n')

const toImage = ({ source }: ImageBlock) =>
  source.type === 'url' ? source.url : `data:${source.media_type};base64,${source.data}`

function fromAssistant(content: AssistantMessageParam['content']): ChatMessage {
  if (typeof content === 'string') return { role: 'assistant', content }
  const toolCalls: ToolCall[] = []
  const thoughts: Thought[] = []
  let text: string | undefined
  // A text goes on where a thought has cut it in two; others are lines of their own.
  let goesOn = false
  for (const block of content) {
    if (block.type === 'text') {
      text = text === undefined ? block.text : `${text}${goesOn ? '' : '\n'}${block.text}`
      goesOn = false
    } else if (block.type === 'tool_use')
      toolCalls.push({ id: block.id, name: block.name, arguments: JSON.stringify(block.input) })
    else {
      const thought = fromThinkingBlock(block)
      goesOn = thought.signature !== ''
      thoughts.push({ ...thought, textBefore: text?.length ?? 0, callsBefore: toolCalls.length })
    }
  }
  return {
    role: 'assistant',
    content: text ?? '',
    ...(toolCalls.length === 0 ? {} : { toolCalls }),
    ...toReasoning(thoughts),
  }
}

function toReasoning(thoughts: readonly Thought[]): Readonly<{ reasoning?: string; reasoningSignature?: string }> {
  const { reasoning, signature } = joinThoughts(thoughts)
  if (signature !== undefined) return { ...(reasoning === '' ? {} : { reasoning }), reasoningSignature: signature }
  const texts = thoughts.map(({ text }) => text).filter((text) => text !== '')
  return texts.length === 0 ? {} : { reasoning: texts.join('\n') }
}
