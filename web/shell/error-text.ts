import { AppError, type ErrorCode } from '../../src/errors.ts'
import { findRule } from '../../src/field-rules.ts'
import { errorTexts } from './error-texts.ts'
import { language, speaker } from './language.svelte.ts'

const say = speaker(errorTexts)

/** Those whose text says all that helps; with the others the service's own words (in English) follow. */
const saysAll: ReadonlySet<ErrorCode> = new Set(['busy', 'rate_limited', 'unauthorized', 'aborted', 'internal'])

export type ErrorText = Readonly<{
  text: string /** What the service itself says, where that tells more. */
  details: string | undefined
}>

/** A failure in the person's language. `meaning` says what a code means in this place. */
export function describeError(error: unknown, meaning: Readonly<Partial<Record<ErrorCode, string>>> = {}): ErrorText {
  if (!(error instanceof AppError)) {
    console.error(error)
    return { text: say('internal'), details: undefined }
  }
  const { code, message, retryAfterSeconds = 1 } = error
  // No service answered at all, as against one that says that it cannot.
  if (code === 'unavailable' && error.cause instanceof TypeError) return { text: say('unreachable'), details: undefined }
  const rule = findRule(error.details)
  const text = meaning[code] ?? (rule === undefined ? say(code, { seconds: retryAfterSeconds }) : rule[language()])
  return { text, details: saysAll.has(code) || message === '' ? undefined : say('serviceSays', { message }) }
}
