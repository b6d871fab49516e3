import { AppError } from '../../errors.ts'
import type { Column, ColumnKind, TableLayout } from './layout.ts'

/*
 * A row as both databases give it: a JSON array, with the columns in the order of the layout. Texts are JSON strings; integers are
 * numbers, or strings of digits where a number would lose some; floating-point numbers are numbers in their shortest form, or a string
 * for the infinite; vectors are the base64 of 32-bit floats, little-endian. The same row is the same line.
 */

const infinite: Readonly<Record<string, number>> = { Infinity: Number.POSITIVE_INFINITY, '-Infinity': Number.NEGATIVE_INFINITY }

/** `values`: as `readRows` asks for them, integers as text. */
export function toLine({ name, columns }: TableLayout, values: readonly unknown[]): string {
  return JSON.stringify(columns.map((column, index) => encode(name, column, values[index])))
}

function encode(table: string, { name, kind }: Column, value: unknown): unknown {
  if (value === null || value === undefined) return null
  const encoded = encoders[kind](value)
  if (encoded !== undefined) return encoded
  throw new AppError('unprocessable', `The table "${table}" holds a value in the column "${name}" that is no ${kind}.`)
}

const encoders: Readonly<Record<ColumnKind, (value: unknown) => unknown>> = {
  text: (value) => (typeof value === 'string' ? value : undefined),
  integer(value) {
    // SQLite writes a whole number that was kept as a floating-point one with its point.
    const digits = typeof value === 'string' ? value.replace(/\.0$/, '') : ''
    if (!/^-?\d{1,19}$/.test(digits)) return undefined
    return Number.isSafeInteger(Number(digits)) ? Number(digits) : digits
  },
  real(value) {
    if (typeof value !== 'number' || Number.isNaN(value)) return undefined
    return Number.isFinite(value) ? value : String(value)
  },
  vector(value) {
    if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
    if (typeof value !== 'string') return undefined
    const vector = Float32Array.from(JSON.parse(value))
    return Buffer.from(vector.buffer).toString('base64')
  },
}

/** What `toLine` has made, as the database takes it. Throws `invalid` for anything else. */
export function fromLine({ name, columns }: TableLayout, line: string, isPostgres: boolean): readonly unknown[] {
  const values = parse(line)
  if (!Array.isArray(values) || values.length !== columns.length) throw noRow(name)
  return columns.map(({ kind }, index) => {
    const value: unknown = values[index]
    if (value === null) return null
    const decoded = decoders[kind](value, isPostgres)
    if (decoded === undefined) throw noRow(name)
    return decoded
  })
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

const noRow = (table: string) => new AppError('invalid', `What should be a row of the table "${table}" is none.`)

const decoders: Readonly<Record<ColumnKind, (value: unknown, isPostgres: boolean) => unknown>> = {
  text: (value) => (typeof value === 'string' ? value : undefined),
  integer(value, isPostgres) {
    const digits = typeof value === 'number' ? String(value) : value
    if (typeof digits !== 'string' || !/^-?\d{1,19}$/.test(digits)) return undefined
    return isPostgres ? digits : BigInt(digits)
  },
  real: (value) => (typeof value === 'number' ? value : typeof value === 'string' ? infinite[value] : undefined),
  vector(value, isPostgres) {
    if (typeof value !== 'string') return undefined
    const bytes = Buffer.from(value, 'base64')
    if (bytes.length % 4 !== 0 || bytes.toString('base64') !== value) return undefined
    // A copy, as the bytes may begin anywhere in a larger buffer.
    return isPostgres ? `[${new Float32Array(Uint8Array.from(bytes).buffer).join(',')}]` : bytes
  },
}
