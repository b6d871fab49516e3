/** A run of text as pdf.js gives it: where its baseline begins, from the lower left corner of the page, in points. */
export type PdfRun = Readonly<{ text: string; x: number; y: number; width: number; size: number; endsLine: boolean }>

export type PdfLine = Readonly<{ text: string; x: number; y: number; right: number; size: number; page: number }>

export type PdfPage = Readonly<{ number: number; height: number; lines: readonly PdfLine[] }>

/** Joins runs on one baseline, in the order in which the page draws them. */
export function joinRuns(runs: readonly PdfRun[], page: number): PdfLine[] {
  const lines: PdfLine[] = []
  let open: PdfRun[] = []
  const end = () => {
    const line = toLine(open, page)
    if (line !== undefined) lines.push(line)
    open = []
  }
  for (const run of runs) {
    const before = open.findLast(({ text }) => text.trim() !== '')
    if (before !== undefined && run.text !== '' && isElsewhere(before, run)) end()
    open.push(run)
    if (run.endsLine) end()
  }
  end()
  return lines
}

/** Small shifts are superscripts and the like. */
function isElsewhere(before: PdfRun, run: PdfRun): boolean {
  return Math.abs(run.y - before.y) > Math.max(before.size, run.size) * 0.6 || run.x < before.x - before.size
}

function toLine(runs: readonly PdfRun[], page: number): PdfLine | undefined {
  const seen = runs.filter(({ text }) => text.trim() !== '')
  const [first] = seen
  const last = seen.at(-1)
  if (first === undefined || last === undefined) return undefined
  let text = ''
  let right = first.x
  for (const run of runs) {
    // A gap as wide as a space is one, also where the page draws none.
    const isApart = text !== '' && run.x - right > run.size * 0.2 && !text.endsWith(' ') && !run.text.startsWith(' ')
    text += (isApart ? ' ' : '') + run.text
    if (run.text.trim() !== '') right = run.x + run.width
  }
  // The longest run tells: a first letter may be larger.
  const size = seen.reduce((best, run) => (run.text.length > best.text.length ? run : best)).size
  return { text: text.replace(/\s+/g, ' ').trim(), x: first.x, y: first.y, right, size, page }
}

/** Headings are set larger than the text by at least this factor. */
export const headingFactor = 1.12

/** The size that most of the text has. */
export function usualSize(lines: readonly PdfLine[]): number {
  const lengths = new Map<number, number>()
  for (const { size, text } of lines) lengths.set(Math.round(size), (lengths.get(Math.round(size)) ?? 0) + text.length)
  return [...lengths].reduce((best, other) => (other[1] > best[1] ? other : best), [0, -1])[0]
}

/** Drops lines at the upper or lower edge that come back on most pages, but for their numbers; headings may begin each page. */
export function dropRunningLines(pages: readonly PdfPage[]): PdfPage[] {
  if (pages.length < 3) return [...pages]
  const shape = ({ text }: PdfLine) => text.replace(/\d+|\b[ivxlc]+\b/gi, '#').toLowerCase()
  const largest = usualSize(pages.flatMap(({ lines }) => lines)) * headingFactor
  const isAtEdge = ({ y, size }: PdfLine, { height }: PdfPage) => size < largest && (y > height * 0.85 || y < height * 0.15)
  const counts = new Map<string, number>()
  for (const page of pages)
    for (const found of new Set(page.lines.filter((line) => isAtEdge(line, page)).map(shape)))
      counts.set(found, (counts.get(found) ?? 0) + 1)
  const least = Math.max(3, pages.length * 0.4)
  const running = new Set([...counts].flatMap(([found, count]) => (count >= least ? [found] : [])))
  return pages.map((page) => ({
    ...page,
    lines: page.lines.filter((line) => !(isAtEdge(line, page) && running.has(shape(line)))),
  }))
}
