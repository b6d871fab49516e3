import { randomInt } from 'node:crypto'
import type { CallSyntax, ReasoningMarks } from './chat-format.ts'
import type { GenerateEvent, TokenLogprob, Tool } from './provider.ts'
import { createTokenTrack } from './token-track.ts'
import { type CallReader, type CallReading, createCallReader } from './tool-calls-reader.ts'

type WithoutIndex<Event> = Event extends { index: number } ? Omit<Event, 'index'> : never
/** An event of one answer, which does not know which of the choices it is. */
export type AnswerPart = WithoutIndex<Exclude<GenerateEvent, { type: 'choice-end' }>>

/** Tells text, reasoning and calls apart in the text of one answer, whatever pieces it comes in. */
export interface AnswerReader {
  /** `tokens`: those that the text is made of. Calls and reasoning leave theirs behind. */
  add(text: string, tokens?: readonly TokenLogprob[]): readonly AnswerPart[]
  /** What was held back, as the answer has ended. */
  end(): readonly AnswerPart[]
  /** Whether it has called a function. */
  readonly called: boolean
}

export type AnswerReaderOptions = Readonly<{
  /** Absent where no tools are offered: everything is text then. */
  calls?: Readonly<{ syntax: CallSyntax; tools: readonly Tool[] }> | undefined
  reasoning?: ReasoningMarks | undefined
  /** `reasoning`: the prompt ends inside; `text`: the answer goes on in the middle of a text. */
  startsIn: 'beginning' | 'reasoning' | 'text'
  createId?: () => string
}>

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const createCallId = () => `call_${Array.from({ length: 24 }, () => letters[randomInt(letters.length)]).join('')}`

/** How much of the end of `text` may be the beginning of the mark. */
function partialLength(text: string, mark: string): number {
  for (let length = Math.min(mark.length - 1, text.length); length > 0; length--)
    if (text.endsWith(mark.slice(0, length))) return length
  return 0
}

/**
 * Text comes out unchanged and at once; only what may be the beginning of a mark is held back, and white space where a call may begin
 * (at the start and after a call). Line breaks around reasoning, and white space around calls, are left out. What turns out to be no
 * call (other JSON, a function that was not offered) is text.
 */
export function createAnswerReader(options: AnswerReaderOptions): AnswerReader {
  const { calls, reasoning, createId = createCallId } = options
  const track = createTokenTrack()
  let mode: 'beginning' | 'reasoning' | 'text' | 'call' | 'between' = options.startsIn
  let mayReason = reasoning !== undefined && mode !== 'text'
  let dropsBreaks = mode === 'reasoning'
  let held = ''
  let reader: CallReader | undefined
  /** Characters of `held` before what the reader of a call reads. */
  let openLength = 0
  /** Whether a call stands in a block of code, whose closing mark is none of the answer. */
  let isFenced = false
  let count = 0
  let parts: AnswerPart[] = []

  function drop(length: number): void {
    held = held.slice(length)
    track.drop(length)
  }

  function giveText(length: number): void {
    if (length === 0) return
    const text = held.slice(0, length)
    held = held.slice(length)
    parts.push({ type: 'text-delta', text, ...track.take(length) })
  }

  /** At the start, or after a call: what begins here? Gives false where that is not known yet. */
  function begin(ended: boolean): boolean {
    const rest = calls?.syntax.type === 'bare' && mode === 'between' ? held.replace(betweenBareCalls, '') : held.trimStart()
    const lead = held.length - rest.length
    if (mode === 'beginning' && mayReason && reasoning !== undefined) {
      const { open, skipped } = reasoning
      if (rest.startsWith(open)) return enter('reasoning', lead + open.length)
      if (skipped !== '' && rest.startsWith(skipped)) return leaveReasoning(lead + skipped.length)
      if (!ended && (open.startsWith(rest) || (skipped !== '' && skipped.startsWith(rest)))) return false
    }
    const call = calls === undefined ? 'other' : beginsCall(calls.syntax, rest, ended)
    if (call === 'more') return false
    if (call !== 'other') return enterCall(lead + call)
    if (mode === 'between' && (held.trim() === '' || held.trim() === fence)) drop(held.length)
    else if (isFenced) drop(closingFence.exec(held)?.[0].length ?? 0)
    isFenced = false
    mode = 'text'
    return true
  }

  function enter(next: typeof mode, length: number): true {
    drop(length)
    mode = next
    dropsBreaks = true
    return true
  }

  function leaveReasoning(length: number): true {
    mayReason = false
    return enter('beginning', length)
  }

  function enterCall(length: number): boolean {
    if (calls === undefined) return false
    reader = createCallReader(calls.syntax, calls.tools)
    if (calls.syntax.type === 'bare') isFenced = isFenced !== (held.slice(0, length).split(fence).length % 2 === 0)
    openLength = length
    mode = 'call'
    return true
  }

  function reason(ended: boolean): boolean {
    const close = reasoning?.close ?? ''
    const at = held.indexOf(close)
    const whole = at >= 0 ? at : held.length - (ended ? 0 : partialLength(held, close))
    const text = held.slice(0, whole)
    // Line breaks at the end are part of the mark, if it follows.
    const shown = ended && at < 0 ? text : text.replace(/(?<!\n)\n+$/, '')
    if (shown !== '') parts.push({ type: 'reasoning-delta', text: shown })
    if (at >= 0) return leaveReasoning(at + close.length)
    drop(shown.length)
    return false
  }

  function write(ended: boolean): boolean {
    const open = calls?.syntax.type === 'bare' ? '' : (calls?.syntax.open ?? '')
    const at = open === '' ? -1 : held.indexOf(open)
    giveText(at >= 0 ? at : held.length - (ended ? 0 : partialLength(held, open)))
    return at >= 0 && enterCall(open.length)
  }

  function call(ended: boolean): boolean {
    const reading: CallReading = reader?.read(held.slice(openLength), ended) ?? { used: 0, parts: [], state: 'refused' }
    if (reading.state === 'refused') {
      // The mark, or the bracket, is text like any other.
      isFenced = false
      giveText(Math.min(held.length, calls?.syntax.type === 'bare' ? openLength + 1 : openLength))
      mode = 'text'
      return true
    }
    for (const part of reading.parts) {
      if (part.type === 'start') parts.push({ type: 'tool-call-start', call: count++, id: createId(), name: part.name })
      else parts.push({ type: 'tool-call-delta', call: count - 1, text: part.text })
    }
    if (reading.used > 0) {
      drop(openLength + reading.used)
      openLength = 0
    }
    if (reading.state === 'done') mode = 'between'
    return reading.state === 'done'
  }

  function step(ended: boolean): boolean {
    if (dropsBreaks) {
      drop(held.length - held.replace(/^[\r\n]+/, '').length)
      dropsBreaks = held === ''
    }
    switch (mode) {
      case 'beginning':
      case 'between':
        return begin(ended)
      case 'reasoning':
        return reason(ended)
      case 'text':
        return write(ended)
      case 'call':
        return call(ended)
    }
  }

  function advance(ended: boolean): readonly AnswerPart[] {
    parts = []
    while ((held !== '' || mode === 'call') && step(ended));
    return parts
  }

  return {
    add(text, tokens) {
      track.add(text, tokens)
      held += text
      return advance(false)
    },
    end() {
      advance(true)
      const rest = mode === 'text' || count === 0 ? track.rest() : undefined
      return rest === undefined ? parts : [...parts, { type: 'text-delta', text: '', tokens: rest }]
    },
    get called() {
      return count > 0
    },
  }
}

const fence = '```'
const closingFence = /^\s*```[ \t]*\r?\n?/
const betweenBareCalls = /^(?:[\s;,]|```)+/

/** How many characters stand before that which the reader of a call reads. */
function beginsCall(syntax: CallSyntax, rest: string, ended: boolean): number | 'more' | 'other' {
  if (syntax.open !== '' && rest.startsWith(syntax.open)) return syntax.open.length
  if (syntax.type === 'bare') {
    // Many models put JSON into a block of code.
    const before = /^(?:```[a-z_]{0,9}\s*)?/.exec(rest)?.[0].length ?? 0
    if (rest.charAt(before) === '{') return before
    if (!ended && (fence.startsWith(rest) || (before > 0 && before === rest.length))) return 'more'
  }
  return !ended && syntax.open.startsWith(rest) ? 'more' : 'other'
}
