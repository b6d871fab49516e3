import type { MessageAnswer } from '../../../src/conversations/schema.ts'

type Versioned = Pick<MessageAnswer, 'id' | 'version_ids'>

/** Which of its versions a message is, counted from 1; undefined where there is only one. */
export function versionOf({ id, version_ids }: Versioned): Readonly<{ number: number; of: number }> | undefined {
  return version_ids.length < 2 ? undefined : { number: version_ids.indexOf(id) + 1, of: version_ids.length }
}

/** The version that comes `steps` later (earlier, where negative). */
export function versionBeside({ id, version_ids }: Versioned, steps: 1 | -1): string | undefined {
  const at = version_ids.indexOf(id) + steps
  return at < 0 ? undefined : version_ids[at]
}

/** The version that a message is compared with: the one before it, or the one after the first. */
export function versionToCompare(message: Versioned): string | undefined {
  return versionBeside(message, -1) ?? versionBeside(message, 1)
}
