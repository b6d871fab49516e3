import { speaker } from '../shell/language.svelte.ts'
import { texts } from '../shell/texts.ts'

const say = speaker(texts)

type Place = Readonly<{ page?: number | null; last_page?: number | null; section?: string | null }>

/** Where a passage stands in its document, in words; empty where nothing is known. */
export function placeText({ page, last_page: last, section }: Place): string {
  const pages = page == null ? '' : last == null || last === page ? say('page', { page }) : say('pageRange', { page, last })
  return [pages, section ?? ''].filter((part) => part !== '').join(' · ')
}
