import type { FinishReason, GenerateEvent, Timings, TokenLogprob, ToolCall, Usage } from '../engine/provider.ts'
import { joinThoughts, type Thought } from '../engine/thoughts.ts'
import { AppError } from '../errors.ts'

/** One whole answer. */
export type CompletionChoice = Readonly<{
  index: number
  text: string
  reason: FinishReason
  /** What the model thought before; empty where it did not. */
  reasoning: string
  /** Of the provider that reasoned, to be sent back with the reasoning. */
  reasoningSignature: string | undefined
  toolCalls: readonly ToolCall[]
  /** Where log-probabilities were asked for. */
  tokens: readonly TokenLogprob[]
  /** Which of the request's stop texts ended it. */
  stopText: string | undefined
}>

/** One answer, whole or as far as it came. */
export type StoppedChoice = Omit<CompletionChoice, 'reason'> & Readonly<{ reason: FinishReason | 'stopped' }>

export type CollectedAnswer = Readonly<{ choices: readonly CompletionChoice[]; usage: Usage; timings: Timings }>

type OpenChoice = {
  text: string
  /** The last one is open until it is signed, or something else comes. */
  thoughts: Array<{ -readonly [Field in keyof Thought]: Thought[Field] }>
  isThinking: boolean
  toolCalls: Array<{ id: string; name: string; arguments: string }>
  tokens: TokenLogprob[]
}

/** Gathers whole answers, by their index. Throws `internal` unless every choice came to its end. */
export async function collect(events: AsyncIterable<GenerateEvent>): Promise<CollectedAnswer> {
  const collector = createCollector()
  for await (const event of events) {
    if (event.type === 'generation-end') return { choices: collector.ended(), usage: event.usage, timings: event.timings }
    collector.add(event)
  }
  throw new AppError('internal', 'The engine stopped before the answer was complete.')
}

export type ChoiceEvent = Exclude<GenerateEvent, { type: 'generation-end' }>

/** Gathers answers from their pieces, in the order of their index. */
export function createCollector() {
  const open = new Map<number, OpenChoice>()
  const ended = new Map<number, CompletionChoice>()
  return {
    add(event: ChoiceEvent): void {
      const choice = choiceOf(open, event.index)
      if (event.type !== 'choice-end') add(choice, event)
      else ended.set(event.index, { ...close(event.index, choice), reason: event.reason, stopText: event.stopText })
    },
    /** Those that have come to their end. */
    ended: (): readonly CompletionChoice[] => inOrder([...ended.values()]),
    /** All that have begun; those without an end are `stopped` where they are. */
    soFar(): readonly StoppedChoice[] {
      const choices = [...open].map(
        ([index, choice]): StoppedChoice =>
          ended.get(index) ?? { ...close(index, choice), reason: 'stopped', stopText: undefined },
      )
      return inOrder(choices)
    },
  }
}

const inOrder = <Choice extends StoppedChoice>(choices: readonly Choice[]) => choices.toSorted((a, b) => a.index - b.index)

function close(index: number, { text, thoughts, toolCalls, tokens }: OpenChoice) {
  const { reasoning, signature } = joinThoughts(thoughts)
  return { index, text, reasoning, reasoningSignature: signature, toolCalls, tokens }
}

function choiceOf(open: Map<number, OpenChoice>, index: number): OpenChoice {
  const known = open.get(index)
  if (known !== undefined) return known
  const choice: OpenChoice = { text: '', thoughts: [], isThinking: false, toolCalls: [], tokens: [] }
  open.set(index, choice)
  return choice
}

function add(choice: OpenChoice, event: Exclude<ChoiceEvent, { type: 'choice-end' }>): void {
  if (event.type !== 'reasoning-delta' && (event.type !== 'text-delta' || event.text !== '')) choice.isThinking = false
  switch (event.type) {
    case 'text-delta':
      choice.text += event.text
      choice.tokens.push(...(event.tokens ?? []))
      break
    case 'reasoning-delta':
      think(choice, event)
      break
    case 'tool-call-start':
      choice.toolCalls[event.call] = { id: event.id, name: event.name, arguments: '' }
      break
    case 'tool-call-delta': {
      const call = choice.toolCalls[event.call]
      if (call !== undefined) call.arguments += event.text
    }
  }
}

function think(choice: OpenChoice, { text, signature }: Extract<GenerateEvent, { type: 'reasoning-delta' }>): void {
  const { thoughts, toolCalls } = choice
  if (text === '' && signature === undefined) return
  if (!choice.isThinking)
    thoughts.push({ text: '', signature: '', textBefore: choice.text.length, callsBefore: toolCalls.length })
  const last = thoughts.at(-1)
  if (last === undefined) return
  last.text += text
  last.signature = signature ?? last.signature
  choice.isThinking = signature === undefined
}
