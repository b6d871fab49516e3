import { appendFileSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { journalFile, type Life, type Note, readJournal } from './journal.ts'

/** What the processes before this one have done along a path. */
export type Left = Readonly<{
  /** Saved to the end by the last of them. */
  saved: readonly string[]
  /** What may have been saved last: the last one that was, and what was cut off since; undefined: nothing yet. */
  newest: ReadonlySet<string | undefined>
  /** How many they were. */
  savedCount: number
  cutCount: number
}>

export type SavePath = Readonly<{
  name: string
  /** Throws where what was left is not whole. Called once, before anything is saved. */
  check(left: Left): Promise<void>
  /** Saves under a name that no other save has had. */
  save(name: string): Promise<void>
  /** Throws where what goes on by itself does not come to its end. Called once, in the last process. */
  settle?(): Promise<void>
}>

export type SaveParameters = Readonly<{ folder: string; life: number; given: readonly string[] }>

/** The program of a process that is killed: it checks, then saves along all paths at once until somebody kills it. */
export async function savePaths(open: (parameters: SaveParameters) => Promise<readonly SavePath[]>): Promise<void> {
  const [folder = '', number = '', mode = '', ...given] = process.argv.slice(2)
  const life = Number(number)
  const journal = join(folder, journalFile)
  const note = (path: string, what: Note['what'], name: string) =>
    appendFileSync(journal, `${JSON.stringify({ life, path, what, name } satisfies Note)}\n`)
  appendFileSync(journal, '')
  const lives = readJournal(readFileSync(journal, 'utf8'))
  const paths = await open({ folder, life, given })
  for (const { name, check } of paths) await check(leftOf(lives, name))
  if (mode === 'check') {
    for (const { settle } of paths) await settle?.()
    process.exit(0)
  }
  // At once, as nobody is told anything after a kill.
  writeSync(1, 'begun\n')
  const waiting = new Set(paths.map(({ name }) => name))
  await Promise.all(
    paths.map(async (path) => {
      for (let index = 0; ; index += 1) {
        const name = `${life}-${index}`
        note(path.name, 'begin', name)
        // SQLite answers within the call: the others are to have their turn, too.
        await nextTurn()
        await path.save(name)
        note(path.name, 'end', name)
        if (waiting.delete(path.name) && waiting.size === 0) writeSync(1, 'measured\n')
      }
    }),
  )
}

function leftOf(lives: readonly Life[], name: string): Left {
  const own = lives.filter(({ path }) => path === name)
  const saved = own.flatMap((life) => life.saved)
  const lastSaving = own.findLastIndex((life) => life.saved.length > 0)
  const cutSince = own.slice(Math.max(lastSaving, 0)).flatMap(({ cut = [] }) => cut)
  return {
    saved: own.at(-1)?.saved ?? [],
    newest: new Set([saved.at(-1), ...cutSince]),
    savedCount: saved.length,
    cutCount: own.filter(({ cut }) => cut !== undefined).length,
  }
}
