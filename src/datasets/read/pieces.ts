/** A part of a file that should hold one record. */
export type Piece = Readonly<{
  /** Of its beginning, from 1. */
  line: number
  /** Undefined where it is longer than a record may be. */
  bytes: Buffer | undefined
  /** Set where a file is over before the record is. */
  isCut?: true
}>

export type LineCounts = { crlfLines: number; emptyLines: number }

const lineFeed = 0x0a
const carriageReturn = 0x0d

/** Lines that are not empty; `counts` is told about the others. Of one that is too long nothing is kept. */
export async function* splitLines(chunks: AsyncIterable<Buffer>, maxBytes: number, counts: LineCounts): AsyncGenerator<Piece> {
  const parts = createParts(maxBytes)
  let line = 1
  const takeLine = (): Piece | undefined => {
    const bytes = parts.take()
    const isCrlf = bytes?.at(-1) === carriageReturn
    if (isCrlf) counts.crlfLines += 1
    const text = isCrlf ? bytes?.subarray(0, -1) : bytes
    if (text === undefined || !isBlank(text)) return { line, bytes: text }
    counts.emptyLines += 1
    return undefined
  }
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      parts.add(chunk.subarray(start, end))
      const piece = takeLine()
      if (piece !== undefined) yield piece
      start = end + 1
      line += 1
    }
    parts.add(chunk.subarray(start))
  }
  // A file that ends with a line feed has no line behind it.
  const last = parts.size() === 0 ? undefined : takeLine()
  if (last !== undefined) yield last
}

const isSpace = (byte: number) => byte === 0x20 || byte === 0x09 || byte === lineFeed || byte === carriageReturn

function isBlank(bytes: Buffer): boolean {
  for (const byte of bytes) if (!isSpace(byte)) return false
  return true
}

/** Keeps bytes up to a bound, and past it only that there were more. */
function createParts(maxBytes: number) {
  let parts: Buffer[] = []
  let size = 0
  return {
    add(bytes: Buffer): void {
      if (bytes.length === 0) return
      size += bytes.length
      if (size > maxBytes) parts = []
      else parts.push(bytes)
    },
    size: () => size,
    take(): Buffer | undefined {
      const taken = size > maxBytes ? undefined : parts.length === 1 ? parts[0] : Buffer.concat(parts)
      parts = []
      size = 0
      return taken
    },
  }
}

const [quote, backslash, comma, openList, closeList, openObject, closeObject] = [0x22, 0x5c, 0x2c, 0x5b, 0x5d, 0x7b, 0x7d]

type ListState = 'before' | 'between' | 'inside' | 'after'
const beginning: ListState = 'before'

/**
 * The elements of a JSON list, without reading it whole: all that tells them apart is ASCII, which no other character of UTF-8 holds.
 * What stands behind the list is a piece too, for it is no record.
 */
export async function* splitList(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Piece> {
  const parts = createParts(maxBytes)
  let state = beginning
  let [line, startLine, depth] = [1, 1, 0]
  let [isText, isEscaped] = [false, false]
  for await (const chunk of chunks) {
    let start = 0
    for (let place = 0; place < chunk.length; place += 1) {
      const byte = chunk[place] ?? 0
      if (byte === lineFeed) line += 1
      if (isText) {
        if (isEscaped) isEscaped = false
        else if (byte === backslash) isEscaped = true
        else if (byte === quote) isText = false
        continue
      }
      if (state === 'inside') {
        if (byte === quote) isText = true
        else if (byte === openList || byte === openObject) depth += 1
        else if ((byte === closeList || byte === closeObject) && depth > 0) depth -= 1
        else if (depth === 0 && (byte === comma || byte === closeList)) {
          parts.add(chunk.subarray(start, place))
          yield { line: startLine, bytes: parts.take() }
          state = byte === comma ? 'between' : 'after'
        }
        continue
      }
      if (isSpace(byte)) continue
      if (state === 'before') state = 'between'
      else if (state === 'between' && byte === closeList) state = 'after'
      else if (state === 'after' || byte !== comma) {
        state = 'inside'
        startLine = line
        start = place
        isText = byte === quote
        depth = byte === openList || byte === openObject ? 1 : 0
      }
    }
    if (state === 'inside') parts.add(chunk.subarray(start))
  }
  if (state === 'inside') yield { line: startLine, bytes: parts.take(), isCut: true }
  else if (state === 'between') yield { line, bytes: Buffer.alloc(0), isCut: true }
}
