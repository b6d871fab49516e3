import type { Instances } from '../../src/instances/instances.ts'
import type { Storage } from '../../src/storage/open-storage.ts'

/** What all paths into one database are made of. */
export type RowsParts = Readonly<{
  storage: Storage
  db: Storage['db']
  instances: Instances
  folder: string
  life: number
  log: Readonly<{ error(...problem: readonly unknown[]): void; info(): void }>
  now: () => number
}>
