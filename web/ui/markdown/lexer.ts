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

/** The blocks of a text, each with what it holds. */
export const lex = (text: string): readonly Token[] => marked.lexer(text)
