/** A conversation in a file, as its text, and where it stands: its line, or its place in a list, from 1. */
export type ImportItem = Readonly<{ line: number; text: string | undefined }>

/** Characters of one conversation; a longer one is told of without its text. */
const mostCharacters = 32 * 1024 * 1024

/** What a file holds: one JSON text for each line, or those of one list. Little more than one of them is in memory at a time. */
export async function* readItems(chunks: AsyncIterable<string>): AsyncGenerator<ImportItem> {
  let splitter: ReturnType<typeof splitLines> | undefined
  let before = ''
  for await (const chunk of chunks) {
    if (splitter === undefined) {
      before = (before + chunk).replace(/^[\uFEFF\s]+/, '')
      if (before === '') continue
      splitter = before.startsWith('[') ? splitList() : splitLines()
      yield* splitter.push(before)
    } else yield* splitter.push(chunk)
  }
  if (splitter !== undefined) yield* splitter.end()
}

function splitLines() {
  let line = 1
  let open: string[] = []
  let length = 0
  const close = (): ImportItem[] => {
    const text = length > mostCharacters ? undefined : open.join('')
    const item = { line, text }
    line += 1
    open = []
    length = 0
    return text?.trim() === '' ? [] : [item]
  }
  const add = (part: string) => {
    length += part.length
    if (length <= mostCharacters) open.push(part)
    else open = []
  }
  return {
    *push(chunk: string): Generator<ImportItem> {
      const [first = '', ...rest] = chunk.split('\n')
      add(first)
      for (const part of rest) {
        yield* close()
        add(part)
      }
    },
    end: close,
  }
}

/** Looks for where the objects of a list begin and end; whether they are JSON is seen when they are read. */
function splitList() {
  let place = 1
  let open: string[] = []
  let length = 0
  let depth = 0
  let inText = false
  let isEscaped = false
  const add = (part: string) => {
    length += part.length
    if (length <= mostCharacters) open.push(part)
    else open = []
  }
  const close = (): ImportItem => {
    const item = { line: place, text: length > mostCharacters ? undefined : open.join('') }
    place += 1
    open = []
    length = 0
    return item
  }
  return {
    *push(chunk: string): Generator<ImportItem> {
      let from = 0
      for (let at = 0; at < chunk.length; at += 1) {
        const character = chunk[at]
        if (isEscaped) isEscaped = false
        else if (inText) {
          if (character === '\\') isEscaped = true
          else if (character === '"') inText = false
        } else if (character === '"') inText = true
        else if (character === '{') {
          if (depth === 0) from = at
          depth += 1
        } else if (character === '}' && depth > 0) {
          depth -= 1
          if (depth > 0) continue
          add(chunk.slice(from, at + 1))
          yield close()
        }
      }
      if (depth > 0) add(chunk.slice(from))
    },
    end: (): ImportItem[] => (depth > 0 ? [close()] : []),
  }
}
