import type { CallSyntax } from './chat-format.ts'
import { argumentsText, endOfValue, parseString, skipSpace, type Unread } from './tool-calls-scan.ts'

/**
 * The beginning of a call. Its arguments are `whole`, or begin at `at`. `depth`: how many objects around them are open at `at`;
 * `inList`: whether these stand in a list.
 */
export type CallHeader = Readonly<{ name: string; whole: string | undefined; at: number; depth: number; inList: boolean }>

/** Reads the beginning of a call of an offered function that follows the opening mark. */
export function readFirstHeader(syntax: CallSyntax, names: readonly string[], text: string): CallHeader | Unread {
  if (syntax.type === 'named') return readNamedHeader(syntax, names, text)
  const at = skipSpace(text, 0)
  const inList = text.charAt(at) === '[' && syntax.type === 'json'
  const header = readObjectHeader(names, text, inList ? at + 1 : at, syntax.type === 'bare')
  return typeof header === 'string' ? header : { ...header, inList }
}

const knownKeys: ReadonlySet<string> = new Set(['name', 'arguments', 'parameters', 'function', 'type', 'id'])

/** `{"name": …, "arguments": …}`, also inside `{"function": …}`. `isStrict`: nothing that could be another object passes for a call. */
export function readObjectHeader(
  names: readonly string[],
  text: string,
  from: number,
  isStrict: boolean,
): Omit<CallHeader, 'inList'> | Unread {
  let name: string | undefined
  let whole: string | undefined
  let depth = 0
  let at = from
  for (;;) {
    at = skipSpace(text, at)
    const character = text.charAt(at)
    if (character === '') return 'more'
    if (depth === 0) {
      if (character !== '{') return 'other'
      depth = 1
      at++
    } else if (character === '}') {
      depth--
      at++
      if (depth > 0) continue
      if (name === undefined || (isStrict && whole === undefined)) return 'other'
      return { name, whole: whole ?? '{}', at, depth }
    } else if (character === ',') at++
    else {
      const key = readKey(text, at)
      if (typeof key === 'string') return key
      if (isStrict && !knownKeys.has(key.key)) return 'other'
      at = key.valueAt
      const isObject = text.charAt(at) === '{'
      const isArguments = key.key === 'arguments' || key.key === 'parameters'
      if (key.key === 'function' && isObject && depth === 1) {
        depth = 2
        at++
        continue
      }
      if (isArguments && isObject && name !== undefined) return { name, whole: undefined, at, depth }
      const end = endOfValue(text, at)
      if (typeof end === 'string') return end
      const value = text.slice(at, end)
      if (isArguments) whole = argumentsText(value)
      if (key.key === 'name') {
        name = parseString(value)
        if (name === undefined || !names.includes(name)) return 'other'
      }
      at = end
    }
  }
}

/** A key with the colon after it, and where its value begins. */
export function readKey(text: string, at: number): Readonly<{ key: string; valueAt: number }> | Unread {
  if (text.charAt(at) !== '"') return 'other'
  const end = endOfValue(text, at)
  if (typeof end === 'string') return end
  const key = parseString(text.slice(at, end))
  const colon = skipSpace(text, end)
  if (text.charAt(colon) === '') return 'more'
  if (key === undefined || text.charAt(colon) !== ':') return 'other'
  const valueAt = skipSpace(text, colon + 1)
  return valueAt === text.length ? 'more' : { key, valueAt }
}

const longestCallId = 100

function readNamedHeader(
  { callId, nameEnd }: Extract<CallSyntax, { type: 'named' }>,
  names: readonly string[],
  text: string,
): CallHeader | Unread {
  const start = skipSpace(text, 0)
  const rest = text.slice(start)
  let isOpen = names.some((name) => name.startsWith(rest))
  for (const name of names) {
    if (!rest.startsWith(name)) continue
    const after = rest.slice(name.length)
    isOpen ||= nameEnd.startsWith(after) || (callId !== '' && callId.startsWith(after))
    const hasId = callId !== '' && after.startsWith(callId)
    if (!hasId && !after.startsWith(nameEnd)) continue
    const end = after.indexOf(nameEnd)
    if (end < 0) return after.length > longestCallId ? 'other' : 'more'
    const at = skipSpace(text, start + name.length + end + nameEnd.length)
    if (at === text.length) return 'more'
    return text.charAt(at) === '{' ? { name, whole: undefined, at, depth: 0, inList: false } : 'other'
  }
  return isOpen ? 'more' : 'other'
}
