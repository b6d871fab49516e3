import { Type } from 'typebox'
import { Value } from 'typebox/value'

const record = Type.Record(Type.String(), Type.Unknown())

/** An object that is no list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return Value.Check(record, value)
}
