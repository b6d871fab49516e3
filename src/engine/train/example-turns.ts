import { AppError } from '../../errors.ts'
import { type ChatFormat, detectChatFormat } from '../chat-format.ts'
import type { ChatModel } from '../chat-format-render.ts'
import type { ChatTemplateRenderer, PromptPart } from '../chat-template.ts'
import { renderPlainChat } from '../chat-template-plain.ts'
import type { ChatMessage } from '../provider.ts'

type AssistantMessage = Extract<ChatMessage, { role: 'assistant' }>

/** What the model is asked with, and what it writes then, in the words of its chat template. */
export type Turn = Readonly<{
  prompt: readonly PromptPart[]
  answer: readonly PromptPart[]
  /** Both, as the template writes them when nobody is asked. */
  whole: readonly PromptPart[]
}>

/** Throws `invalid` when the template refuses the conversation, or writes answers otherwise than it asks for them. */
export type TurnRenderer = (before: readonly ChatMessage[], message: AssistantMessage) => Promise<Turn>

/** Models without a chat template read and write a plain transcript. */
export function createTurnRenderer(model: ChatModel, renderer: ChatTemplateRenderer): TurnRenderer {
  const { chatTemplate: template, bosToken, eosToken, controlTokens } = model
  if (template === undefined) return async (before, message) => plainTurn(before, message)
  const format = detectChatFormat(template)
  const { shortCallIds, toolsInSystemMessage } = format
  const options = { template, bosToken, eosToken, controlTokens, shortCallIds, toolsInSystemMessage }
  return async (before, message) => {
    const prompt = await renderer.render({ ...options, messages: before, addGenerationPrompt: true })
    const whole = await renderer.render({ ...options, messages: [...before, message], addGenerationPrompt: false })
    const answer = partsAfter(whole, prompt) ?? afterThoughts(whole, { prompt, format, message })
    if (answer !== undefined) return { prompt, answer, whole }
    throw new AppError('invalid', "The model's chat template writes this answer otherwise than it asks for it.")
  }
}

function plainTurn(before: readonly ChatMessage[], message: AssistantMessage): Turn {
  const prompt = renderPlainChat(before)
  const whole = renderPlainChat([...before, { ...message, content: message.content.trim() }])
  return { prompt, answer: partsAfter(whole, prompt) ?? [], whole }
}

type Asked = Readonly<{ prompt: readonly PromptPart[]; format: ChatFormat; message: AssistantMessage }>

/** Where the prompt ends with the beginning of thoughts, and the template leaves the thoughts of answers out. */
function afterThoughts(whole: readonly PromptPart[], { prompt, format, message }: Asked): readonly PromptPart[] | undefined {
  const { reasoning: marks } = format
  const last = prompt.at(-1)
  if (marks === undefined || last === undefined || !last.special || !last.text.trimEnd().endsWith(marks.open)) return undefined
  const text = last.text.slice(0, last.text.lastIndexOf(marks.open))
  const rest = partsAfter(whole, text === '' ? prompt.slice(0, -1) : [...prompt.slice(0, -1), { text, special: true }])
  const thoughts = message.reasoning ?? ''
  return (
    rest && [
      ...(thoughts === '' ? [] : [{ text: thoughts, special: false }]),
      { text: `\n${marks.close}\n\n`, special: true },
      ...rest,
    ]
  )
}

/** What follows when a text begins with these parts; undefined when it begins otherwise. */
export function partsAfter(whole: readonly PromptPart[], beginning: readonly PromptPart[]): readonly PromptPart[] | undefined {
  for (const [place, { text, special }] of beginning.entries()) {
    const same = whole[place]
    if (same?.special !== special) return undefined
    if (same.text === text) continue
    const isLast = place === beginning.length - 1
    return isLast && same.text.startsWith(text)
      ? [{ text: same.text.slice(text.length), special }, ...whole.slice(place + 1)]
      : undefined
  }
  return whole.slice(beginning.length)
}
