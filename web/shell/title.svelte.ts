/** What a page says of itself in the title of the tab. */
export type PageTitle = Readonly<{
  /** Empty: the name of the page. */
  text: string
  /** Something is being written. */
  isBusy: boolean
}>

let shown = $state.raw<PageTitle | undefined>(undefined)

export const pageTitle = (): PageTitle | undefined => shown

/** For an effect: gives what takes it back. */
export function showTitle(title: PageTitle): () => void {
  shown = title
  return () => {
    if (shown === title) shown = undefined
  }
}

/** `… Tomatoes · simpleIA` while an answer comes. */
export function composeTitle(name: string, { text, isBusy }: PageTitle): string {
  const of = text === '' ? name : text
  return `${isBusy ? '… ' : ''}${of === '' ? '' : `${of} · `}simpleIA`
}
