/** What a page says of itself in the title of the tab. */
export type PageTitle = Readonly<{
  /** Empty: the name of the page. */
  text: string
  /** Something is being written. */
  isBusy: boolean
}>

/** `… Tomatoes · simpleIA` while an answer comes. */
export function composeTitle(name: string, { text, isBusy }: PageTitle): string {
  const of = text === '' ? name : text
  return `${isBusy ? '… ' : ''}${of === '' ? '' : `${of} · `}simpleIA`
}
