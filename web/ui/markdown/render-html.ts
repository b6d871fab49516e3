import type { MarkedToken, Token, Tokens } from 'marked'
import { isCitationToken } from './lexer.ts'
import { isMathToken, type MathToken } from './math-syntax.ts'

/** How one text is rendered. Functions that are not there yet leave code plain and maths as it was written. */
export type RenderOptions = Readonly<{
  labels: Readonly<{ copy: string; source: string; done: string; open: string; table: string }>
  /** The numbers of the sources that there are. */
  sources: ReadonlySet<number>
  /** HTML of code in a language; undefined where it is not known. */
  highlight: ((code: string, language: string) => string | undefined) | undefined
  /** MathML of TeX; undefined where it has faults. */
  math: ((tex: string, isDisplay: boolean) => string | undefined) | undefined
}>

const entities: Readonly<Record<string, string>> = { '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;', '&': '&amp;' }
const escapeAll = (text: string): string => text.replace(/[<>"'&]/g, (character) => entities[character] ?? character)
/** Entities that stand in a text are what they mean; in code they are not. */
const escapeText = (text: string): string =>
  text.replace(/[<>"']|&(?!#\d{1,7};|#x[\da-f]{1,6};|[a-z]\w{1,30};)/gi, (character) => entities[character] ?? character)

/** A token of marked's lexer as HTML. Whatever is not known to be harmless becomes text. */
export function renderToken(token: Token, options: RenderOptions): string {
  if (isMathToken(token)) return renderMath(token, options)
  if (isCitationToken(token)) {
    return token.numbers.every((number) => options.sources.has(number))
      ? token.numbers.map((number) => renderCitation(number, options)).join('')
      : escapeText(token.raw)
  }
  // Its other tokens are the lexer's own; `Token` has them under any name.
  const known = token as MarkedToken
  const inner = () => renderTokens('tokens' in known ? known.tokens : undefined, options)
  switch (known.type) {
    case 'space':
      return ''
    case 'hr':
      return '<hr>'
    case 'br':
      return '<br>'
    case 'heading':
      // Of one level, as the text stands inside a page with headings of its own; how it looks tells them apart.
      return `<h3 class="depth-${known.depth}">${inner()}</h3>`
    case 'paragraph':
      return `<p>${inner().trimEnd()}</p>`
    case 'blockquote':
      return `<blockquote>${inner()}</blockquote>`
    case 'strong':
    case 'em':
    case 'del':
      return `<${known.type}>${inner()}</${known.type}>`
    case 'text':
      return 'tokens' in known && known.tokens !== undefined ? inner() : escapeText(known.text)
    case 'escape':
      return escapeText(known.text)
    case 'codespan':
      return `<code>${escapeAll(known.text)}</code>`
    case 'code':
      return renderCode(known, options)
    case 'checkbox':
      return renderBox(known.checked, options)
    case 'list':
      return renderList(known, options)
    case 'table':
      return renderTable(known, options)
    case 'link':
      return renderLink(known.href, inner())
    case 'image':
      return renderLink(known.href, escapeText(known.text === '' ? known.href : known.text), 'image')
    default:
      return escapeText(known.raw)
  }
}

function renderTokens(tokens: readonly Token[] | undefined, options: RenderOptions): string {
  return (tokens ?? []).map((token) => renderToken(token, options)).join('')
}

function renderCode({ text, lang = '', raw }: Tokens.Code, { labels, highlight }: RenderOptions): string {
  const language = /^[^\s{,]*/.exec(lang)?.[0] ?? ''
  const isFenced = /^ {0,3}(`{3}|~{3})/.test(raw)
  const code = (language === '' ? undefined : highlight?.(text, language)) ?? escapeAll(text)
  const name = isFenced ? `<span>${escapeAll(language)}</span>` : '<span></span>'
  const head = `<div class="code-head">${name}<button type="button" class="plain copy">${escapeAll(labels.copy)}</button></div>`
  return `<div class="code">${head}<pre tabindex="0"><code>${code}\n</code></pre></div>`
}

function renderList({ ordered, start, items }: Tokens.List, options: RenderOptions): string {
  const name = ordered ? 'ol' : 'ul'
  const first = ordered && typeof start === 'number' && start !== 1 ? ` start="${start}"` : ''
  return `<${name}${first}>${items.map(({ tokens }) => `<li>${renderTokens(tokens, options)}</li>`).join('')}</${name}>`
}

function renderBox(checked: boolean, { labels }: RenderOptions): string {
  const label = escapeAll(checked ? labels.done : labels.open)
  return `<span class="task" role="img" aria-label="${label}">${checked ? '☑' : '☐'}</span> `
}

function renderTable({ header, rows }: Tokens.Table, options: RenderOptions): string {
  const cell = (name: 'th' | 'td', { tokens, align }: Tokens.TableCell) =>
    `<${name}${align === null ? '' : ` class="${align}"`}>${renderTokens(tokens, options)}</${name}>`
  const row = (name: 'th' | 'td', cells: readonly Tokens.TableCell[]) =>
    `<tr>${cells.map((one) => cell(name, one)).join('')}</tr>`
  const table = `<table><thead>${row('th', header)}</thead><tbody>${rows.map((cells) => row('td', cells)).join('')}</tbody></table>`
  return `<div class="scroll" tabindex="0" role="group" aria-label="${escapeAll(options.labels.table)}">${table}</div>`
}

/** Only to pages and mailboxes. Pictures of elsewhere are links too: an answer must not call home. */
function renderLink(href: string, label: string, name?: string): string {
  const isSafe = /^(https?:\/\/|mailto:)/i.test(href.trim())
  if (!isSafe) return label
  const as = name === undefined ? '' : ` class="${name}"`
  return `<a${as} href="${escapeAll(href.trim())}" target="_blank" rel="noopener noreferrer nofollow">${label}</a>`
}

function renderCitation(number: number, { labels }: RenderOptions): string {
  const name = `${labels.source} ${number}`
  return `<button type="button" class="cite" data-source="${number}" aria-label="${escapeAll(name)}">${number}</button>`
}

function renderMath({ tex, raw, isDisplay, isWhole }: MathToken, { math }: RenderOptions): string {
  const made = isWhole ? math?.(tex, isDisplay) : undefined
  if (made === undefined)
    return isDisplay && raw.includes('\n') ? `<p>${escapeAll(raw.trim())}</p>` : `<code>${escapeAll(raw.trim())}</code>`
  return isDisplay ? `<span class="scroll display" tabindex="0">${made}</span>` : made
}
