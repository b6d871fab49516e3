/** What the vector of a passage is made of: the headings above a chunk say what it is about, where it does not say so itself. */
export function embeddedText({ section, text }: Readonly<{ section?: string | null | undefined; text: string }>): string {
  return section === undefined || section === null || section === '' ? text : `${section}\n${text}`
}
