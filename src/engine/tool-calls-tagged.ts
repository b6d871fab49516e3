import type { CallSyntax } from './chat-format.ts'
import { isJsonObject } from './json-grammar-limits.ts'
import { assertionsOf } from './json-grammar-reference.ts'
import type { Tool } from './provider.ts'
import type { CallPart, CallReader } from './tool-calls-reader.ts'
import { parseJson, skipSpace } from './tool-calls-scan.ts'

/** Whether the value of a parameter is written as it is, rather than as JSON. */
export function isPlainText({ parameters }: Tool, parameter: string): boolean {
  const properties = isJsonObject(parameters) && isJsonObject(parameters.properties) ? parameters.properties : {}
  const schema = Object.hasOwn(properties, parameter) ? properties[parameter] : undefined
  if (!isJsonObject(schema)) return false
  const values = schema.enum
  const isText = schema.type === 'string' || (schema.type === undefined && values !== undefined)
  const hasTexts = values === undefined || (Array.isArray(values) && values.every((value) => typeof value === 'string'))
  // What else is said of a text can only be kept to where it is written as JSON.
  return isText && hasTexts && assertionsOf(schema).every((keyword) => keyword === 'type' || keyword === 'enum')
}

const functionStart = '<function='
const functionEnd = '</function>'
const parameterStart = '<parameter='
const parameterEnd = '</parameter>'

/** Calls as Qwen3-Coder writes them; each parameter becomes a piece of the arguments' JSON when it is whole. */
export function createTaggedCallReader({ close }: Extract<CallSyntax, { type: 'tagged' }>, tools: readonly Tool[]): CallReader {
  let stage: 'name' | 'parameters' | 'close' | 'done' = 'name'
  let tool: Tool | undefined
  let count = 0
  let text = ''
  let at = 0
  let parts: CallPart[] = []

  const give = (json: string) => parts.push({ type: 'arguments', text: json })
  const giveParameter = (name: string, json: string) => give(`${count++ === 0 ? '{' : ', '}${JSON.stringify(name)}: ${json}`)

  function readName(ended: boolean): boolean | 'refused' {
    const from = skipSpace(text, 0)
    const rest = text.slice(from)
    if (!ended && functionStart.startsWith(rest.slice(0, functionStart.length))) {
      if (rest.length <= functionStart.length) return false
    } else if (!rest.startsWith(functionStart)) return 'refused'
    const [name = ''] = rest.slice(functionStart.length).split('>', 1)
    if (rest.length === functionStart.length + name.length)
      return !ended && tools.some((offered) => offered.name.startsWith(name)) ? false : 'refused'
    tool = tools.find((offered) => offered.name === name)
    if (tool === undefined) return 'refused'
    parts.push({ type: 'start', name })
    at = from + functionStart.length + name.length + 1
    stage = 'parameters'
    return true
  }

  function readParameter(ended: boolean): boolean {
    const from = skipSpace(text, at)
    if (text.startsWith(parameterStart, from)) {
      const nameEnd = text.indexOf('>', from)
      const end = nameEnd < 0 ? -1 : text.indexOf(parameterEnd, nameEnd)
      if (end < 0) {
        if (ended && nameEnd >= 0) {
          const name = text.slice(from + parameterStart.length, nameEnd)
          // An answer that was cut off here: what there is of the value, as a text without an end.
          giveParameter(name, JSON.stringify(withoutBreaks(text.slice(nameEnd + 1))).slice(0, -1))
          at = text.length
        }
        return false
      }
      const name = text.slice(from + parameterStart.length, nameEnd)
      giveParameter(name, toJson(name, withoutBreaks(text.slice(nameEnd + 1, end))))
      at = end + parameterEnd.length
      return true
    }
    if (!ended && [parameterStart, functionEnd, close].some((mark) => mark.startsWith(text.slice(from)))) return false
    if (text.startsWith(functionEnd, from)) at = from + functionEnd.length
    give(count === 0 ? '{}' : '}')
    stage = 'close'
    return true
  }

  function toJson(name: string, value: string): string {
    if (tool !== undefined && isPlainText(tool, name)) return JSON.stringify(value)
    return parseJson(value) === undefined ? JSON.stringify(value) : value.trim()
  }

  function readClose(ended: boolean): boolean {
    const from = skipSpace(text, at)
    if (text.startsWith(close, from)) at = from + close.length
    else if (!ended && close.startsWith(text.slice(from))) return false
    stage = 'done'
    return true
  }

  return {
    read(given, ended) {
      text = given
      at = 0
      parts = []
      for (let more = true; more && stage !== 'done'; ) {
        const step = stage === 'name' ? readName(ended) : stage === 'parameters' ? readParameter(ended) : readClose(ended)
        if (step === 'refused') return { used: 0, parts: [], state: 'refused' }
        more = step
      }
      return { used: at, parts, state: stage === 'done' || ended ? 'done' : 'more' }
    },
  }
}

/** The line breaks next to the tags are not part of the value. */
const withoutBreaks = (value: string) => value.replace(/^\n/, '').replace(/\n$/, '')
