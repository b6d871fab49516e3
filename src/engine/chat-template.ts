import { AppError } from '../errors.ts'
import { createTemplateProcess, type TemplateProcess } from './chat-template-process.ts'
import type { FromTemplateWorker } from './chat-template-protocol.ts'
import { createTokenCover, type PromptPart } from './chat-template-tokens.ts'
import {
  continuesAnswer,
  type TemplateConversation,
  toTemplateVariables,
  type VariableOptions,
} from './chat-template-variables.ts'
import type { ChatMessage } from './provider.ts'

export type { PromptPart } from './chat-template-tokens.ts'

export type ChatTemplateRequest = TemplateConversation &
  Readonly<{
    /** The Jinja template, as a model file carries it. */
    template: string
    bosToken: string
    eosToken: string
    /** Every string that the tokenizer would take for a control token. Pass the same array each time: it is indexed once. */
    controlTokens: readonly string[]
    /**
     * Whether the text ends where the model's own turn begins, or goes on: after a message of the assistant without calls it ends with
     * that message.
     */
    addGenerationPrompt: boolean
  }>

export interface ChatTemplateRenderer {
  /**
   * Turns a conversation into a prompt. Control tokens inside messages come back as ordinary text.
   * A BOS token at the very start is left out: who tokenizes adds the one that the model wants.
   * Throws `invalid` (the template refuses the conversation), `unavailable` (it is broken, too slow or too greedy), `busy`.
   */
  render(request: ChatTemplateRequest): Promise<readonly PromptPart[]>
  close(): Promise<void>
}

export type ChatTemplateLimits = Readonly<{
  /** For one rendering; starting the process is not part of it. */
  timeLimitMs?: number
  memoryMb?: number
  /** Characters of the rendered text. */
  maxLength?: number
  maxQueue?: number
}>

/**
 * Renders templates in a child process, one at a time. A template is a program by whoever made the model file:
 * it sees the conversation and nothing else, and is ended when it takes too much time or memory.
 */
export function createChatTemplateRenderer(limits: ChatTemplateLimits = {}): ChatTemplateRenderer {
  const child = createTemplateProcess({ timeLimitMs: 1000, memoryMb: 64, maxLength: 4_000_000, maxQueue: 64, ...limits })
  return {
    async render(request) {
      const { messages } = request
      let answer: Rendered | Failed = { type: 'failed', reason: 'rendering', message: '' }
      for (const attempt of attempts)
        if (answer.type === 'failed' && answer.reason === 'rendering')
          answer = await renderMessages(child, request, { messages, ...attempt })
      const merged = mergeTurns(messages)
      if (answer.type === 'failed' && answer.reason === 'raised' && merged.length < messages.length) {
        const second = await renderMessages(child, request, { messages: merged })
        if (second.type === 'rendered') return second.parts
      }
      if (answer.type === 'rendered') return answer.parts
      throw toAppError(answer)
    },
    close: () => child.close(),
  }
}

type Failed = Extract<FromTemplateWorker, { type: 'failed' }>
type Rendered = Readonly<{ type: 'rendered'; parts: readonly PromptPart[] }>

type Attempt = Pick<ChatTemplateRequest, 'messages'> & Pick<VariableOptions, 'fills' | 'withTextArguments'>

/** Some templates count on tools, on their descriptions, on calls in every message, or on arguments that are text. */
const attempts: ReadonlyArray<Omit<Attempt, 'messages'>> = [
  {},
  { fills: 'tools' },
  { fills: 'tools', withTextArguments: true },
  { fills: 'all' },
  { fills: 'all', withTextArguments: true },
]

async function renderMessages(
  child: TemplateProcess,
  request: ChatTemplateRequest,
  { messages, ...attempt }: Attempt,
): Promise<Rendered | Failed> {
  const { template, bosToken, eosToken, controlTokens } = request
  const cover = createTokenCover(controlTokens)
  const goesOn = request.addGenerationPrompt && continuesAnswer(messages)
  const variables = {
    ...toTemplateVariables({ ...request, messages }, { hide: cover.hide, end: goesOn ? cover.end : '', ...attempt }),
    bos_token: bosToken,
    eos_token: eosToken,
    add_generation_prompt: request.addGenerationPrompt && !goesOn,
  }
  const answer = await child.render({ template, variables })
  if (answer.type === 'failed') return answer
  // What the renderer writes of an object that a template takes for text.
  if (attempt.withTextArguments !== true && !messages.every(isPlain) && answer.text.includes('[object Map]'))
    return { type: 'failed', reason: 'rendering', message: 'it takes the arguments of calls for text' }
  const end = goesOn ? answer.text.lastIndexOf(cover.end) : answer.text.length
  if (end < 0) return { type: 'failed', reason: 'raised', message: 'it leaves out the beginning of the answer' }
  const text = answer.text.slice(bosToken !== '' && answer.text.startsWith(bosToken) ? bosToken.length : 0, end)
  return { type: 'rendered', parts: cover.reveal(text) }
}

/** For templates that refuse a system message or two turns of one side: the same words in user and assistant turns that alternate. */
function mergeTurns(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const merged: ChatMessage[] = []
  for (const message of messages) {
    const { content } = message
    const asked = message.role === 'system' ? ({ role: 'user', content } as const) : message
    const last = merged.at(-1)
    if (last?.role === asked.role && isPlain(last) && isPlain(asked))
      merged.splice(-1, 1, { ...last, content: `${last.content}\n\n${content}` })
    else merged.push(asked)
  }
  return merged
}

const isPlain = (message: ChatMessage) =>
  message.role !== 'tool' && !(message.role === 'assistant' && (message.toolCalls?.length ?? 0) > 0)

function toAppError({ reason, message }: Failed): AppError {
  switch (reason) {
    case 'raised':
      return new AppError('invalid', `The model's chat template refuses this conversation: ${message}`)
    case 'rendering':
      return new AppError('invalid', `The model's chat template fails on this conversation: ${message}`)
    case 'too-long':
      return new AppError('invalid', `The model's chat template makes too long a prompt of this conversation: ${message}.`)
    case 'too-slow':
      return new AppError('unavailable', `The model's chat template does not end (it had ${message}), so the model can't chat.`)
    case 'template':
      return new AppError('unavailable', `The model's chat template is not valid, so the model can't chat: ${message}`)
  }
}
