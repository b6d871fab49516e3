import { parse } from 'csv-parse'
import { AppError } from '../../errors.ts'
import type { DatasetFormat } from '../kinds.ts'
import type { DatasetReport } from '../report.ts'
import { encodingOf, maxRecordBytes, peek, readUtf8, toUtf8 } from './bytes.ts'
import { columnName, findContainer } from './container.ts'
import { type LineCounts, type Piece, splitLines, splitList } from './pieces.ts'
import { Refused } from './refused.ts'

/** What may be a row, or why it can't be read. */
export type FileRecord = Readonly<{ line: number } & ({ value: unknown } | { refused: Refused })>
export type FileFacts = Pick<DatasetReport, 'container' | 'encoding' | 'byteOrderMark'>

export type OpenedFile = Readonly<{
  facts: FileFacts
  /** Whole once `records` has ended. */
  counts: Readonly<LineCounts>
  records: AsyncIterable<FileRecord>
}>

/** Reads a file a record at a time. Throws `unprocessable` for what is no text, or no table that can be read. */
export async function openFile(path: string, fileName: string, format: DatasetFormat | undefined): Promise<OpenedFile> {
  const head = await peek(path)
  const encoding = encodingOf(head)
  const { container, delimiter } = findContainer(toUtf8(head, encoding).toString(), fileName, format)
  const counts: LineCounts = { crlfLines: 0, emptyLines: 0 }
  const bytes = readUtf8(path, encoding)
  const recordsOf = {
    'json-lines': () => readPieces(splitLines(bytes, maxRecordBytes, counts), readJson),
    'json-list': () => readPieces(splitList(bytes, maxRecordBytes), readJson),
    'text-lines': () => readPieces(splitLines(bytes, maxRecordBytes, counts), (text) => ({ text })),
    table: () => readTable(bytes, delimiter),
  }
  return { facts: { container, ...encoding }, counts, records: recordsOf[container]() }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

async function* readPieces(pieces: AsyncIterable<Piece>, read: (text: string) => unknown): AsyncGenerator<FileRecord> {
  for await (const piece of pieces) {
    const { line } = piece
    const text = textOf(piece)
    const value = text instanceof Refused ? text : read(text)
    yield value instanceof Refused ? { line, refused: value } : { line, value }
  }
}

function textOf({ bytes, isCut }: Piece): string | Refused {
  if (bytes === undefined) return new Refused('too-long', `It is longer than ${maxRecordBytes / 1024 ** 2} MB.`)
  if (isCut) return new Refused('broken-json', 'The file ends before the list is closed.')
  try {
    return decoder.decode(bytes)
  } catch {
    return new Refused('broken-text', 'It holds bytes that are no text in the encoding of the file (UTF-8 is best).')
  }
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return new Refused('broken-json', 'It is no JSON: it may be cut off, or a quote or comma is missing.')
  }
}

type TableRow = Readonly<{ record: Record<string, string>; info: { lines: number } }>

/** The first line names the columns; empty cells are taken to be absent. */
async function* readTable(bytes: AsyncIterable<Buffer>, delimiter: string): AsyncGenerator<FileRecord> {
  const skipped: number[] = []
  const rows = parse({
    delimiter,
    columns: (names: string[]) => names.map(columnName),
    info: true,
    relax_quotes: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    max_record_size: maxRecordBytes,
    on_skip(error) {
      // What follows in the same piece of the file would be lost without a word.
      if (error?.code === 'CSV_MAX_RECORD_SIZE') rows.destroy(rowTooLong(Number(error.lines)))
      else skipped.push(Number(error?.lines))
    },
  })
  const writing = writeTo(rows, bytes)
  try {
    // The library's types tell nothing of what `info` adds.
    for await (const { record, info } of rows as AsyncIterable<TableRow>) {
      yield* skipped.splice(0).map(brokenRow)
      yield { line: info.lines, value: toValue(record) }
    }
    yield* skipped.splice(0).map(brokenRow)
    await writing
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('unprocessable', `The table cannot be read: ${String(error).slice(0, 200)}`, { cause: error })
  } finally {
    rows.destroy()
    await writing
  }
}

const brokenRow = (line: number): FileRecord => ({
  line,
  refused: new Refused('wrong-shape', 'It has more or fewer cells than the first line, or a quote is not closed.'),
})

function rowTooLong(line: number): AppError {
  const most = `${maxRecordBytes / 1024 ** 2} MB`
  return new AppError(
    'unprocessable',
    `A row of the table that ends in line ${line} or later is longer than ${most}: is a quote before it not closed?`,
  )
}

async function writeTo(rows: ReturnType<typeof parse>, bytes: AsyncIterable<Buffer>): Promise<void> {
  const streaming = new TextDecoder('utf-8', { fatal: true })
  try {
    for await (const chunk of bytes) {
      if (rows.destroyed) return
      if (rows.write(streaming.decode(chunk, { stream: true }))) continue
      const { promise, resolve } = Promise.withResolvers<void>()
      rows.once('drain', resolve).once('close', resolve)
      await promise
    }
    streaming.decode()
    rows.end()
  } catch (error) {
    const message = 'The table holds bytes that are no UTF-8. Save it as CSV in UTF-8.'
    rows.destroy(new AppError('unprocessable', message, { cause: error }))
  }
}

function toValue(record: Record<string, string>): unknown {
  const given = Object.entries(record).filter(([, cell]) => cell !== '')
  return Object.fromEntries(given.map(([name, cell]) => [name, name === 'weight' && cell.trim() !== '' ? Number(cell) : cell]))
}
