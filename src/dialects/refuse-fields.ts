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
    const others = allowed.map((one) => ` or ${JSON.stringify(one)}`).join('')
    throw wrongField(`${place}${name}`, `left out${others} (anything else is not supported)`, 'another value')
  }
}

export function refuseLoneStreamOptions(body: Readonly<{ stream?: boolean; stream_options?: object }>): void {
  if (body.stream_options !== undefined && body.stream !== true)
    throw wrongField('stream_options', 'left out unless stream is true', 'given')
}
