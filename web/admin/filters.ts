import { fromLocalField } from './range.ts'

/** The filled fields of a filter by their names; times as the service takes them. What is empty filters nothing. */
export function filledOf<Name extends string>(fields: Readonly<Record<Name, string>>): Partial<Record<Name, string>> {
  const filled: Partial<Record<Name, string>> = {}
  for (const name in fields) {
    const value = name === 'from' || name === 'to' ? fromLocalField(fields[name]) : fields[name].trim()
    if (value !== undefined && value !== '') filled[name] = value
  }
  return filled
}
