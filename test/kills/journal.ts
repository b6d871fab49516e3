/** In the folder of a program that is killed: what it has begun to save, and what it has saved. */
export const journalFile = 'journal.jsonl'

export type Note = Readonly<{ life: number; path: string; what: 'begin' | 'end'; name: string }>

/** What one process has done along one path, in order. */
export type Life = Readonly<{
  life: number
  path: string
  saved: readonly string[]
  /** What it was about to save when it was killed. */
  cut: string | undefined
}>

/** By process and path, in the order in which they began. */
export function readJournal(text: string): readonly Life[] {
  const notes: Note[] = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
  const byLife = Map.groupBy(notes, ({ life, path }) => `${life} ${path}`)
  return [...byLife.values()].map((ofLife): Life => {
    const last = ofLife.at(-1)
    const [life, path] = [last?.life ?? 0, last?.path ?? '']
    const saved = ofLife.filter(({ what }) => what === 'end').map(({ name }) => name)
    return { life, path, saved, cut: last?.what === 'begin' ? last.name : undefined }
  })
}
