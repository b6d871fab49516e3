/** What the scripted model answers to everything. */
export const answerPieces: readonly string[] = Array.from({ length: 60 }, (_, index) => `word${index} `)
export const wholeAnswer = answerPieces.join('')

export const documentChunks = 6

/** A file of so many chunks. */
export function documentOf(name: string): FormData {
  const sections = Array.from(
    { length: documentChunks },
    (_, index) => `# ${name} ${index}\n\n${`${name} says this. `.repeat(8)}\n`,
  )
  const form = new FormData()
  form.append('file', new File([sections.join('\n')], `${name}.md`, { type: 'text/markdown' }))
  return form
}
