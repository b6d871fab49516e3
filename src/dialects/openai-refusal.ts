import { isDeepStrictEqual } from 'node:util'
import { AppError } from '../errors.ts'

/** A field that is not what it must be. */
export function wrongField(field: string, expected: string, got: string): AppError {
  return new AppError('invalid', `"${field}" must be ${expected}, but is ${got}.`, { details: [{ field, expected, got }] })
}

/** For each field the values that ask for nothing. */
export type HarmlessValues = Readonly<Record<string, readonly unknown[]>>

/** Throws `invalid` for a field of the table with another value than those. `place` stands before the names: `messages.0.`. */
export function refuseUnsupported(body: object, harmless: HarmlessValues, place = ''): void {
  for (const [name, value] of Object.entries(body)) {
    const allowed = Object.hasOwn(harmless, name) ? harmless[name] : undefined
    if (allowed === undefined || allowed.some((one) => isDeepStrictEqual(one, value))) continue
    const expected = allowed.length === 0 ? 'left out' : `left out or ${allowed.map((one) => JSON.stringify(one)).join(' or ')}`
    throw new AppError('invalid', `"${place}${name}" is not supported: it must be ${expected}.`, {
      details: [{ field: `${place}${name}`, expected, got: 'another value' }],
    })
  }
}

export function refuseLoneStreamOptions(body: Readonly<{ stream?: boolean; stream_options?: object }>): void {
  if (body.stream_options !== undefined && body.stream !== true)
    throw wrongField('stream_options', 'left out unless stream is true', 'given')
}
