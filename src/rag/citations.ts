/** A citation in an answer. */
export type Citation = Readonly<{
  /** The number of the source. */
  number: number
  /** Where `[n]` begins in the answer, in UTF-16 code units. */
  offset: number
}>

export interface CitationFilter {
  /** The next piece of the model's text; gives what can be shown by now. */
  push(piece: string): string
  /** What was held back, at the end. */
  end(): string
}

/** `[1]`, `[1, 3]`; with the blanks before, which go with a citation that is taken out. */
const citation = /(?<![ \t])([ \t]*)(!?)\[([\d,; \t]+)\]/g
/** An opening bracket that one more would follow: without the inner one, "[4[9]]" would become a citation that was none. */
const openedTwice = /\[(?=[\d,; \t]*!?\[)/g
/** What a citation may have before its end. */
const insideCitation: ReadonlySet<string> = new Set(' \t![0123456789,;')

/**
 * Lets through only citations that resolve: `[9]` of five sources is taken out, `[1, 9]` becomes `[1]`, `[1, 2]` becomes `[1][2]`. An
 * image becomes a link ("![" gets a space between), so that showing an answer asks nobody for anything. Citations in code are left alone. The pieces may be cut anywhere.
 */
export function createCitationFilter(sources: number): CitationFilter {
  const clean = createCleaner(sources)
  const part = createImageParter()
  let held = ''
  return {
    push(piece) {
      const text = held + piece
      const cut = unfinishedFrom(text)
      held = text.slice(cut)
      return part(clean(text.slice(0, cut)))
    },
    end() {
      const rest = part(clean(held))
      held = ''
      return rest
    },
  }
}

/** A whole text as the filter lets it through. */
export function withResolving(text: string, sources: number): string {
  const filter = createCitationFilter(sources)
  return filter.push(text) + filter.end()
}

/** Where the end of a text begins that may still become a citation, an image or a code fence with the next piece. */
function unfinishedFrom(text: string): number {
  let at = text.length
  while (at > 0 && text[at - 1] === '`') at -= 1
  if (at < text.length) return at
  while (at > 0 && insideCitation.has(text[at - 1] ?? '')) at -= 1
  // A number alone begins none.
  while (at < text.length && !' \t!['.includes(text[at] ?? '')) at += 1
  return at
}

/** Parts each "![" that is left, in code too: what is code to us need not be code to whoever shows it. */
function createImageParter(): (text: string) => string {
  let endsWithMark = false
  return (text) => {
    if (text === '') return ''
    const parted = `${endsWithMark && text.startsWith('[') ? ' ' : ''}${text.replaceAll('![', '! [')}`
    endsWithMark = text.endsWith('!')
    return parted
  }
}

/** Follows where code begins and ends: between runs of as many backticks. */
function createCleaner(sources: number): (text: string) => string {
  let fence: string | undefined

  function cleanLine(line: string): string {
    return line
      .split(/(`+)/)
      .map((part) => {
        if (!part.startsWith('`')) return fence === undefined ? keepResolving(part, sources) : part
        if (fence === undefined) fence = part
        else if (fence === part) fence = undefined
        return part
      })
      .join('')
  }

  return (text) =>
    text
      .split(/(\n)/)
      .map((line) => {
        // Code within a line ends with it, closed or not.
        if (line === '\n' && fence !== undefined && fence.length < 3) fence = undefined
        return cleanLine(line)
      })
      .join('')
}

function keepResolving(text: string, sources: number): string {
  return text.replaceAll(openedTwice, '(').replaceAll(citation, (whole, blanks: string, mark: string, list: string) => {
    const numbers = list.match(/\d+/g)
    if (numbers === null) return whole
    const known = [...new Set(numbers.map(Number))].filter((number) => number >= 1 && number <= sources)
    return known.length === 0 ? mark : `${blanks}${mark}${known.map((number) => `[${number}]`).join('')}`
  })
}

export type Sentence = Readonly<{
  text: string
  /** Where it begins in the answer, in UTF-16 code units. */
  offset: number
  citations: readonly Citation[]
}>

/** The sentences of an answer with the citations of each; one that stands after the full stop belongs to the sentence before. */
export function toSentences(answer: string): readonly Sentence[] {
  const sentences: { text: string; offset: number; citations: Citation[] }[] = []
  for (const { segment, index } of new Intl.Segmenter(undefined, { granularity: 'sentence' }).segment(answer)) {
    const late = /^(?:\s*\[\d+\])+/.exec(segment)?.[0] ?? ''
    const before = sentences.at(-1)
    const isLate = late !== '' && before !== undefined && before.citations.length === 0
    if (isLate) before.citations.push(...findCitations(late, index))
    const rest = isLate ? segment.slice(late.length) : segment
    const offset = index + segment.length - rest.trimStart().length
    const text = rest.trim()
    if (/[\p{L}\p{N}]/u.test(withoutCitations(text))) sentences.push({ text, offset, citations: findCitations(text, offset) })
  }
  return sentences
}

function findCitations(text: string, offset: number): Citation[] {
  return [...text.matchAll(/\[(\d+)\]/g)].map((match) => ({ number: Number(match[1]), offset: offset + match.index }))
}

/** A text without its `[n]`. */
export function withoutCitations(text: string): string {
  // Only from where white space begins: tried from each of its places, a long run of it would take minutes.
  return text.replaceAll(/(?<!\s)\s*\[\d+\]/g, '').trim()
}
