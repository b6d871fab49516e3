import { startPostgres } from '../../test/postgres/server.ts'
import { createPrompts } from '../prompts.ts'
import type { Table } from './tables.ts'

/** What a part measures with. */
export type World = Readonly<{
  /** Whether only that it works is wanted. */
  isQuick: boolean
  /** The file of the model that answers; undefined: what needs one is left out. */
  modelFile: string | undefined
  /** Where the models are, the embedding model with them. */
  modelsDir: string
  /** Says on the way what is done. */
  note(text: string): void
}>

/** Gives its tables as they grow, so that what was measured is there when time is up. */
export type Part = (world: World) => AsyncGenerator<Table>

export type DatabaseKind = 'SQLite' | 'PostgreSQL'
export const databaseKinds: readonly DatabaseKind[] = ['SQLite', 'PostgreSQL']

/** PostgreSQL as a production has it: what has been committed is on the disk. */
export const startRealPostgres = () => startPostgres(['fsync=on', 'full_page_writes=on', 'shared_buffers=256MB'])

export const mebibyte = 1024 ** 2
export const megabyte = 1e6

/** Passages of documents, each unlike the others: about 200 tokens, 1,000 characters. */
export function passagesOf(count: number, seed: number): readonly string[] {
  const prompts = createPrompts(seed)
  return Array.from({ length: count }, () => prompts.text(200))
}
