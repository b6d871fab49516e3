import type { TokenizerAndRendererExtension, Tokens } from 'marked'

/** Maths in a text: its TeX, and whether it stands on lines of its own. */
export type MathToken = Readonly<{ type: 'math'; raw: string; tex: string; isDisplay: boolean; isWhole: boolean }>

export const isMathToken = (token: object): token is MathToken => 'type' in token && token.type === 'math'

/** At the beginning of a line: up to its end mark, an empty line or the end of the text. TeX allows no empty line inside. */
const block = /^ {0,3}(\$\$|\\\[)((?:(?!\n[ \t]*\n)[\s\S])*?)(?:(\$\$|\\\])[ \t]*(?:\n+|$)|$)/
const blockStart = /(?<=\n) {0,3}(?:\$\$|\\\[)/
const inDollars = /^\$\$((?:(?!\n[ \t]*\n)[\s\S])+?)\$\$/
const inBrackets = /^\\([([])((?:(?!\n[ \t]*\n)[\s\S])+?)\\([)\]])/
/** As Pandoc has it: no space inside of the marks, no letter or digit after them. "costs $5 and $6" is text. */
const inDollar = /^\$(?![\s$])((?:\\[\s\S]|(?!\n[ \t]*\n)[^$\\])+?)(?<![\s\\])\$(?![\p{L}\p{N}$])/u

const closing: Readonly<Record<string, string>> = { $$: '$$', '\\[': '\\]', '(': ')', '[': ']' }

function readBlock(src: string): MathToken | undefined {
  const [raw, opened = '', tex = '', closed] = block.exec(src) ?? []
  if (raw === undefined) return undefined
  if (closed === undefined) return raw === src ? { type: 'math', raw, tex, isDisplay: true, isWhole: false } : undefined
  if (closing[opened] !== closed || tex.trim() === '') return undefined
  return { type: 'math', raw, tex: tex.trim(), isDisplay: true, isWhole: true }
}

function readInline(src: string, before: string): MathToken | undefined {
  const math = (raw: string, tex: string, isDisplay: boolean): MathToken => ({ type: 'math', raw, tex, isDisplay, isWhole: true })
  const dollars = inDollars.exec(src)
  if (dollars?.[1] !== undefined) return math(dollars[0], dollars[1].trim(), true)
  const brackets = inBrackets.exec(src)
  if (brackets?.[1] !== undefined && closing[brackets[1]] === brackets[3]) {
    return math(brackets[0], (brackets[2] ?? '').trim(), brackets[1] === '[')
  }
  const dollar = inDollar.exec(src)
  if (dollar?.[1] === undefined || /[\p{L}\p{N}$\\]$/u.test(before)) return undefined
  return math(dollar[0], dollar[1], false)
}

const startOf = (match: RegExpExecArray | null): number | undefined => match?.index

/** `$…$`, `$$…$$`, `\(…\)` and `\[…\]` for marked's lexer. */
export const mathSyntax: readonly TokenizerAndRendererExtension[] = [
  {
    name: 'math',
    level: 'block',
    start: (src) => startOf(blockStart.exec(src)),
    tokenizer: (src) => readBlock(src),
  },
  {
    name: 'math',
    level: 'inline',
    start: (src) => startOf(/\$|\\[([]/.exec(src)),
    tokenizer: (src, tokens) => readInline(src, (tokens.at(-1) as Tokens.Generic | undefined)?.raw ?? ''),
  },
]
