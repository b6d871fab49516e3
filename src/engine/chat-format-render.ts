import { AppError } from '../errors.ts'
import { type ChatFormat, detectChatFormat, genericCalls, type ReasoningMarks } from './chat-format.ts'
import { tellTools } from './chat-format-generic.ts'
import { type AnswerReaderOptions, createAnswerReader } from './chat-format-reader.ts'
import type { ChatTemplateRenderer, PromptPart } from './chat-template.ts'
import { plainChatStops, renderPlainChat } from './chat-template-plain.ts'
import { continuesAnswer } from './chat-template-variables.ts'
import type { RenderedChat } from './local/answer-request.ts'
import type { LoadedModel } from './local/protocol.ts'
import type { AnswerFormat, ChatPrompt, Tools } from './provider.ts'
import { constrainAnswer } from './tool-calls-grammar.ts'

/** What a conversation needs to know of the model. */
export type ChatModel = Pick<LoadedModel, 'chatTemplate' | 'bosToken' | 'eosToken' | 'controlTokens'>

/**
 * The prompt of a conversation in the words of the model at hand, what the answer is kept to, and how its text is read. Throws like
 * `ChatTemplateRenderer.render`, and `invalid` for schemas that cannot be kept to (at the tool's `field`).
 */
export async function renderChat(
  renderer: ChatTemplateRenderer,
  model: ChatModel,
  prompt: ChatPrompt,
  format?: AnswerFormat,
): Promise<RenderedChat> {
  const chatFormat = detectChatFormat(model.chatTemplate)
  const tools = offeredTools(prompt.tools)
  const turn = await openTurn(renderer, model, { ...prompt, tools }, { chatFormat, mustAnswer: format !== undefined })
  const { marks, startsIn } = turn
  const syntax = chatFormat.calls
  const reasoningEnd = startsIn === 'reasoning' ? marks?.close : undefined
  const options: AnswerReaderOptions = { calls: tools && { syntax, tools: tools.tools }, reasoning: marks, startsIn }
  return {
    prompt: turn.parts,
    stop: turn.stop,
    dropsFirstSpace: turn.dropsFirstSpace,
    ...constrainAnswer({ syntax, tools, format, reasoningEnd }),
    shownTokens: shownTokens(model, marks, tools && syntax),
    ...(tools === undefined && marks === undefined ? {} : { createReader: () => createAnswerReader(options) }),
  }
}

function offeredTools(tools: Tools | undefined): Tools | undefined {
  if (tools === undefined || tools.choice === 'none' || tools.tools.length === 0) return undefined
  const { choice } = tools
  if (typeof choice !== 'string' && !tools.tools.some(({ name }) => name === choice.name)) {
    const expected = tools.tools.map(({ name }) => `"${name}"`).join(' or ')
    throw new AppError('invalid', `The function "${choice.name}" is to be called, but only ${expected} is offered.`, {
      details: [{ field: 'tools/choice', expected, got: `"${choice.name}"` }],
    })
  }
  return tools
}

type Turn = Readonly<{
  parts: readonly PromptPart[]
  stop: readonly string[]
  dropsFirstSpace: boolean
  /** Absent where the answer holds no reasoning. */
  marks: ReasoningMarks | undefined
  startsIn: AnswerReaderOptions['startsIn']
}>

type OfferedPrompt = Omit<ChatPrompt, 'tools'> & Readonly<{ tools: Tools | undefined }>
type TurnOptions = Readonly<{ chatFormat: ChatFormat; mustAnswer: boolean }>

/** The prompt up to where the model goes on. */
async function openTurn(
  renderer: ChatTemplateRenderer,
  model: ChatModel,
  prompt: OfferedPrompt,
  { chatFormat, mustAnswer }: TurnOptions,
): Promise<Turn> {
  const { chatTemplate: template, bosToken, eosToken, controlTokens } = model
  const { tools, reasoning } = prompt
  const goesOn = continuesAnswer(prompt.messages)
  const messages = chatFormat.takesTools ? prompt.messages : tellTools(prompt.messages, tools)
  const startsIn = goesOn ? 'text' : 'beginning'
  if (template === undefined) {
    const parts = renderPlainChat(messages)
    return { parts, stop: plainChatStops, dropsFirstSpace: !goesOn, marks: undefined, startsIn }
  }
  const { shortCallIds, toolsInSystemMessage } = chatFormat
  const parts = await renderer.render({
    template,
    messages,
    ...(tools !== undefined && chatFormat.takesTools ? { tools: tools.tools } : {}),
    ...(reasoning === undefined ? {} : { reasoning }),
    shortCallIds,
    toolsInSystemMessage,
    ...{ bosToken, eosToken, controlTokens },
    addGenerationPrompt: true,
  })
  const turn = { parts, stop: [], dropsFirstSpace: false, marks: chatFormat.reasoning, startsIn } as const
  if (goesOn) return { ...turn, marks: undefined }
  const isForced = mustAnswer || (tools !== undefined && tools.choice !== 'auto')
  return withReasoning(turn, { reasons: reasoning !== 'none', opens: isForced && chatFormat.reasoningIsOptional })
}

/**
 * Sees whether the prompt ends inside of reasoning. Where the model must not reason, it is closed; where a model that reasons of its
 * own accord must answer in a form afterwards, it is opened, so that the form can begin where it ends.
 */
function withReasoning(turn: Turn, { reasons, opens }: Readonly<{ reasons: boolean; opens: boolean }>): Turn {
  const { marks, parts } = turn
  if (marks === undefined) return turn
  const last = parts.at(-1)
  const end = last?.special === true ? last.text.trimEnd() : ''
  const add = (text: string) => [...parts, { text, special: true }]
  if (end.endsWith(marks.open)) {
    return reasons ? { ...turn, startsIn: 'reasoning' } : { ...turn, parts: add(`\n${marks.close}\n\n`), marks: undefined }
  }
  if (end.endsWith(marks.close)) return { ...turn, marks: undefined }
  return reasons && opens ? { ...turn, parts: add(`${marks.open}\n`), startsIn: 'reasoning' } : turn
}

/** The control tokens that the marks are made of: their text is part of the answer, to be read. */
function shownTokens(
  { controlTokens }: ChatModel,
  reasoning: ReasoningMarks | undefined,
  calls: ChatFormat['calls'] | undefined,
) {
  const { open = '', close = '', skipped = '' } = reasoning ?? {}
  const around = calls === undefined || calls === genericCalls ? [] : marksOf(calls)
  const marks = [open, close, skipped, ...around]
  return controlTokens.filter((token) => token !== '' && marks.some((mark) => mark.includes(token)))
}

function marksOf(calls: ChatFormat['calls']): readonly string[] {
  switch (calls.type) {
    case 'bare':
      return [calls.open]
    case 'named':
      return [calls.open, calls.callId, calls.nameEnd, calls.close]
    default:
      return [calls.open, calls.close]
  }
}
