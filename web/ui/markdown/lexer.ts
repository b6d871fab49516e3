import { Marked, type Token, type TokenizerAndRendererExtension } from 'marked'
import { mathSyntax } from './math-syntax.ts'

/** `[1]` or `[1, 2]`: the numbers of sources. */
export type CitationToken = Readonly<{ type: 'citation'; raw: string; numbers: readonly number[] }>

export const isCitationToken = (token: object): token is CitationToken => 'type' in token && token.type === 'citation'

const citationSyntax: TokenizerAndRendererExtension = {
  name: 'citation',
  level: 'inline',
  start: (src) => /\[\d/.exec(src)?.index,
  tokenizer(src) {
    const [raw, list = ''] = /^\[(\d{1,3}(?:\s?[,;]\s?\d{1,3})*)\](?![([])/.exec(src) ?? /^\[(\d{1,3})\](?=\[\d)/.exec(src) ?? []
    return raw === undefined ? undefined : { type: 'citation', raw, numbers: list.split(/[,;]/).map(Number) }
  },
}

// Markup is text. Definitions of links are, too: each block stands for itself, whatever follows it.
const marked = new Marked({
  gfm: true,
  breaks: true,
  tokenizer: { html: () => undefined, tag: () => undefined, def: () => undefined },
  extensions: [...mathSyntax, citationSyntax],
})

/** Levels of quotes and lists in one another. What goes deeper is no text for people, and would take long to read, or all of the stack. */
const mostLevels = 50
const rule = '(?![ \\t]*(?:[-*][ \\t]*)+$)'
const item = '(?:[-*+]|\\d{1,9}[.)])[ \\t]'
const tooDeep = new RegExp(`^${rule}(?:(?:[ \\t]*(?:>|${item})){${mostLevels}}|[ \\t]{${mostLevels * 4},}${item})`, 'm')

/** The blocks of a text, each with what it holds. Lines that are nested too deeply are shown as they were written. */
export function lex(text: string): readonly Token[] {
  const tokens: Token[] = []
  let from = 0
  for (;;) {
    const rest = text.slice(from)
    const start = tooDeep.exec(rest)?.index
    if (start === undefined) return [...tokens, ...marked.lexer(rest)]
    const next = rest.indexOf('\n\n', start)
    const raw = rest.slice(start, next === -1 ? undefined : next)
    tokens.push(...marked.lexer(rest.slice(0, start)), { type: 'code', raw, text: raw })
    from += start + raw.length
  }
}
