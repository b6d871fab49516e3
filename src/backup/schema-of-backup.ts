import { AppError } from '../errors.ts'
import type { Migration } from '../storage/migrations.ts'
import type { Manifest } from './manifest.ts'

/** The migrations with which the tables are those that the backup was made of. Throws `unprocessable` where a newer program made it. */
export function migrationsOf({ migrations: had }: Manifest, known: readonly Migration[]): readonly Migration[] {
  const newer = had.find((id) => !known.some((migration) => migration.id === id))
  if (newer !== undefined)
    throw new AppError(
      'unprocessable',
      `A newer simpleIA has written this backup ("${newer}", which this version does not know). Update simpleIA, then restore it.`,
    )
  return known.filter(({ id }) => had.includes(id))
}
