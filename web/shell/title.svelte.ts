import type { PageTitle } from './compose-title.ts'

let shown = $state.raw<PageTitle | undefined>(undefined)

export const pageTitle = (): PageTitle | undefined => shown

/** For an effect: gives what takes it back. */
export function showTitle(title: PageTitle): () => void {
  shown = title
  return () => {
    if (shown === title) shown = undefined
  }
}
