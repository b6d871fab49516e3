import { readFile } from 'node:fs/promises'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { replaceFile } from '../storage/replace-file.ts'

/** What was in memory when the service ran last. */
export type LoadedModels = Readonly<{
  selected: string | undefined
  /** The one used last first. */
  loaded: readonly string[]
}>

const name = Type.String({ minLength: 1, maxLength: 500 })
const content = Type.Object({ selected: Type.Optional(name), loaded: Type.Array(name, { maxItems: 1000 }) })

/**
 * Remembers in a file which models are in memory, so that a restart loads them again. Nothing is written before `begin`, when all of
 * them are back, nor after `close`: a service that cannot start, or ends meanwhile, forgets nothing.
 */
export function createLoadedModels(path: string) {
  let state: 'restoring' | 'open' | 'closed' = 'restoring'
  let noted: LoadedModels | undefined
  let lastWrite: Promise<void> = Promise.resolve()

  /** In the order of the calls. A disk that is full costs only the memory of it. */
  function write(): void {
    if (state !== 'open' || noted === undefined) return
    const text = `${JSON.stringify(noted, null, 2)}\n`
    lastWrite = lastWrite.then(() => replaceFile(path, text)).catch(() => {})
  }

  return {
    /** Nothing where nothing is remembered, or the file holds something else. */
    async read(): Promise<LoadedModels> {
      try {
        const text: unknown = JSON.parse(await readFile(path, 'utf8'))
        if (Value.Check(content, text)) return { selected: text.selected, loaded: text.loaded }
      } catch {
        // What is lost is a head start.
      }
      return { selected: undefined, loaded: [] }
    },
    note(models: LoadedModels): void {
      noted = models
      write()
    },
    begin(): void {
      if (state === 'restoring') state = 'open'
      write()
    },
    async close(): Promise<void> {
      state = 'closed'
      await lastWrite
    },
  }
}
