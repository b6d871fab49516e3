import { readFile } from 'node:fs/promises'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { replaceFile } from '../storage/replace-file.ts'

const content = Type.Array(Type.String({ minLength: 1, maxLength: 500 }), { maxItems: 1000 })

/** Remembers which models were in memory, the one used last first, so that a restart loads them again. */
export function createLoadedModels(path: string) {
  let lastWrite: Promise<void> = Promise.resolve()
  return {
    /** Empty where nothing is remembered, or the file holds something else. */
    async read(): Promise<readonly string[]> {
      try {
        const names: unknown = JSON.parse(await readFile(path, 'utf8'))
        return Value.Check(content, names) ? names : []
      } catch {
        return []
      }
    },
    /** Writes in the order of the calls. A disk that is full costs only the memory of it. */
    save(names: readonly string[]): void {
      lastWrite = lastWrite.then(() => replaceFile(path, `${JSON.stringify(names, null, 2)}\n`)).catch(() => {})
    },
    close: () => lastWrite,
  }
}
