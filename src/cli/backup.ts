import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { openBackup } from '../backup/read-backup.ts'
import { restoreBackup } from '../backup/restore-backup.ts'
import { migrationsOf } from '../backup/schema-of-backup.ts'
import { writeBackup } from '../backup/write-backup.ts'
import type { Config } from '../config.ts'
import { readModelKind } from '../models/model-kind.ts'
import { modelEnding } from '../models/model-name.ts'
import { migrations } from '../storage/migrations.ts'
import { openStorage } from '../storage/open-storage.ts'
import { isPostgresUrl } from '../storage/postgres.ts'
import { readLayouts } from '../storage/transfer/layout.ts'
import { speakOfBackups } from './backup-messages.ts'
import { type Context, configOf, writeLine } from './context.ts'
import { formatBytes } from './format.ts'
import { inLanguage } from './in-language.ts'

/** `admin backup FILE` */
export async function backUp(context: Context): Promise<number> {
  const { words, flags, language, terminal, version } = context
  const sayOf = speakOfBackups(language)
  const [path = ''] = words
  const config = configOf(context, { serves: false })
  return inLanguage(context, async () => {
    const layouts = await readLayouts()
    const storage = await openStorage({ url: config.databaseUrl })
    try {
      const { tables, files } = await writeBackup(path, {
        storage,
        layouts,
        migrations: migrations.map(({ id }) => id),
        folders: {
          ...placesOf(config),
          isKeptModel: flags.has('models') ? async () => true : isAdapter,
          keepsSecretKey: flags.has('secrets'),
        },
        version,
        now: Date.now,
      })
      const rows = tables.reduce((sum, table) => sum + table.rows, 0)
      const pieces = tables.reduce((sum, table) => sum + table.pieces, 0)
      const size = formatBytes((await stat(path)).size)
      writeLine(terminal.notes, sayOf('written', { path, rows, files: files.length - pieces, size }))
      const missing = [
        ...(flags.has('models') ? [] : [sayOf('missingModels')]),
        sayOf(flags.has('secrets') ? 'missingEnv' : 'missingSecrets'),
      ]
      writeLine(terminal.notes, sayOf('notInIt', { missing: missing.join(', ') }))
      return 0
    } finally {
      await storage.close()
    }
  })
}

/** `admin restore FILE` */
export async function restore(context: Context): Promise<number> {
  const { words, language, terminal } = context
  const sayOf = speakOfBackups(language)
  const [path = ''] = words
  const config = configOf(context, { serves: false })
  return inLanguage(context, async () => {
    const backup = await openBackup(path)
    try {
      const { created_at: date, version } = backup.manifest
      const its = migrationsOf(backup.manifest, migrations)
      const { rows, files, keptAside } = await restoreBackup(backup, {
        places: placesOf(config),
        layouts: await readLayouts(its),
        openStorage: () => openStorage({ url: config.databaseUrl, migrations: its }),
      })
      // A backup of an older program: its tables become those of this one.
      await (await openStorage({ url: config.databaseUrl })).close()
      for (const kept of keptAside) writeLine(terminal.notes, sayOf('keptAside', { path: kept }))
      writeLine(terminal.notes, sayOf('restored', { date, version, rows, files }))
      return 0
    } finally {
      await backup.close()
    }
  })
}

function placesOf({ dataDir, databaseUrl, modelsDir, configFile }: Config) {
  const beside = (name: string) => join(dirname(configFile), name)
  return {
    dataDir,
    modelsDir,
    configFiles: [configFile, beside('providers.json'), beside('prices.json')],
    // The one that there was before a move to PostgreSQL stays beside.
    databasePaths: [join(dataDir, 'simpleia.db'), ...(isPostgresUrl(databaseUrl) ? [] : [databaseUrl])],
  }
}

/** Adapters are made here; models can be pulled again. What is known of one lies beside it. */
async function isAdapter(path: string): Promise<boolean> {
  const model = path.replace(/\.sha256$/, '')
  if (!model.endsWith(modelEnding)) return false
  return readModelKind(model).then(
    ({ kind }) => kind === 'adapter',
    () => false,
  )
}
