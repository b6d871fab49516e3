import type { CallSyntax } from './chat-format.ts'
import type { Tool } from './provider.ts'
import { type CallHeader, readFirstHeader, readKey, readObjectHeader } from './tool-calls-header.ts'
import { createJsonScanner, endOfValue, skipSpace } from './tool-calls-scan.ts'
import { createTaggedCallReader } from './tool-calls-tagged.ts'

export type CallPart = Readonly<{ type: 'start'; name: string } | { type: 'arguments'; text: string }>

export type CallReading = Readonly<{
  /** Characters of the text that need not be given again. */
  used: number
  parts: readonly CallPart[]
  /** `refused`: it is no call after all, and nothing was used. */
  state: 'more' | 'done' | 'refused'
}>

/** Reads what follows one opening mark, with the closing one. */
export interface CallReader {
  /** `text` begins where the last reading stopped; `ended`: no more will come, so that the state is not `more`. */
  read(text: string, ended: boolean): CallReading
}

export function createCallReader(syntax: CallSyntax, tools: readonly Tool[]): CallReader {
  return syntax.type === 'tagged' ? createTaggedCallReader(syntax, tools) : createJsonCallReader(syntax, tools)
}

type Stage = 'first' | 'arguments' | 'tail' | 'next' | 'close' | 'done'

function createJsonCallReader(syntax: Exclude<CallSyntax, { type: 'tagged' }>, tools: readonly Tool[]): CallReader {
  const names = tools.map(({ name }) => name)
  const close = syntax.type === 'bare' ? '' : syntax.close
  let stage: Stage = 'first'
  let scanner = createJsonScanner()
  let depth = 0
  let inList = false
  let text = ''
  let at = 0
  let parts: CallPart[] = []

  function begin(header: Omit<CallHeader, 'inList'>): true {
    at = header.at
    depth = header.depth
    parts.push({ type: 'start', name: header.name })
    if (header.whole !== undefined) parts.push({ type: 'arguments', text: header.whole })
    scanner = createJsonScanner()
    stage = header.whole === undefined ? 'arguments' : 'tail'
    return true
  }

  // Each step says whether there is more to do with the text that is there.
  const steps: Readonly<Record<Exclude<Stage, 'done'>, (ended: boolean) => boolean | 'refused'>> = {
    first(ended) {
      const header = readFirstHeader(syntax, names, text)
      if (header === 'other' || (header === 'more' && ended)) return 'refused'
      if (header === 'more') return false
      inList = header.inList
      return begin(header)
    },
    arguments(ended) {
      // At the end of the answer the beginning of a mark is none.
      const { at: to, end, met } = scanner.scan(text, at, ended ? '' : close)
      if (to > at) parts.push({ type: 'arguments', text: text.slice(at, to) })
      at = to
      if (end !== undefined) stage = 'tail'
      if (met) stage = 'close'
      return end !== undefined || met
    },
    /** What stands behind the arguments in the objects around them. */
    tail() {
      if (depth === 0) stage = inList ? 'next' : 'close'
      const from = skipSpace(text, at)
      const character = text.charAt(from)
      if (depth === 0) return true
      if (character === '') return false
      if (character === '}' || character === ',') {
        if (character === '}') depth--
        at = from + 1
        return true
      }
      const key = readKey(text, from)
      const end = typeof key === 'string' ? key : endOfValue(text, key.valueAt)
      if (end === 'more') return false
      if (end === 'other') stage = 'close'
      else at = end
      return true
    },
    next() {
      const from = skipSpace(text, at)
      const character = text.charAt(from)
      if (character === '') return false
      if (character === ',') at = from + 1
      else if (character === '{') {
        const header = readObjectHeader(names, text, from, false)
        if (header === 'more') return false
        if (header === 'other') stage = 'close'
        else begin(header)
      } else {
        if (character === ']') at = from + 1
        stage = 'close'
      }
      return true
    },
    close(ended) {
      const from = skipSpace(text, at)
      if (close !== '' && text.startsWith(close, from)) at = from + close.length
      else if (close !== '' && !ended && close.startsWith(text.slice(from))) return false
      stage = 'done'
      return true
    },
  }

  return {
    read(given, ended) {
      text = given
      at = 0
      parts = []
      while (stage !== 'done') {
        const more = steps[stage](ended)
        if (more === 'refused') return { used: 0, parts: [], state: 'refused' }
        if (!more) break
      }
      return { used: at, parts, state: stage === 'done' || ended ? 'done' : 'more' }
    },
  }
}
