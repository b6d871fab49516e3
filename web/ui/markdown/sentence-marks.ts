/** A sentence of a text, in UTF-16 code units. */
export type Span = Readonly<{ offset: number; length: number }>

/** Characters of the private use area: no text that people read has them. */
export const markStart = '\uE0F0'
export const markEnd = '\uE0F1'
const marks = /[\uE0F0\uE0F1]/g

/** Puts a mark before and after each sentence, past what begins a line of Markdown, so that its blocks stay what they are. */
export function placeMarks(text: string, spans: readonly Span[]): string {
  const inserts = spans.flatMap(({ offset, length }) => {
    const sentence = text.slice(offset, offset + length)
    const lead = /^(?:\s|#{1,6} |[-*+] |\d+[.)] |> ?|\|)*/.exec(sentence)?.[0].length ?? 0
    const end = offset + sentence.trimEnd().length
    return lead >= sentence.trimEnd().length
      ? []
      : [
          { at: offset + lead, mark: markStart },
          { at: end, mark: markEnd },
        ]
  })
  let made = ''
  let from = 0
  for (const { at, mark } of inserts.toSorted((one, other) => one.at - other.at)) {
    made += text.slice(from, at) + mark
    from = at
  }
  return made + text.slice(from)
}

export const hasMarks = (html: string): boolean => html.includes(markStart)
export const withoutMarks = (text: string): string => text.replace(marks, '')
