import { copyText } from '../ui/copy-text.ts'
import { describeError } from './error-text.ts'
import { speaker } from './language.svelte.ts'
import { tell } from './notices.svelte.ts'
import { askWhereSignInIsNeeded } from './session.svelte.ts'
import { texts } from './texts.ts'

const say = speaker(texts)

/** What failed is told beside the page, where there is no place in it. */
export function tellFailure(error: unknown): void {
  if (askWhereSignInIsNeeded(error)) return
  const { text, details } = describeError(error)
  tell(details === undefined ? text : `${text} ${details}`, { kind: 'error' })
}

/** Copies a text and says so. */
export async function tellCopied(text: string): Promise<void> {
  const isCopied = await copyText(text)
  tell(say(isCopied ? 'copied' : 'copyFailed'), { kind: isCopied ? 'info' : 'error' })
}
