import type { Answers } from './answers.ts'
import { readSelected, type Selection, writeSelection } from './config/selection.ts'
import type { Config } from './config.ts'
import type { Prices } from './egress/prices.ts'
import type { ModelHost } from './engine/provider.ts'
import type { Providers, Selected } from './engine/providers.ts'
import type { Instances } from './instances/instances.ts'
import { isPostgres } from './storage/dialect.ts'
import type { Database } from './storage/tables.ts'

export type SharedSelectionParts = Readonly<{
  db: Database
  instances: Pick<Instances, 'hint' | 'onLook'>
  log: Readonly<{ error(details: object, message: string): void }>
}>

/** What follows a choice that another process has made. */
export type FollowParts = Readonly<{
  host: Pick<ModelHost, 'name' | 'selected'> & Readonly<{ select(model: string): Promise<unknown> }>
  providers: Pick<Providers, 'selected' | 'select'>
  /** Reads the other files again, and gives what puts them in place with this selection. */
  prepare: (selected: Selected) => Promise<() => Promise<void>>
}>

/** Who answers, for all processes on one PostgreSQL; with SQLite it is the file's alone. */
export interface SharedSelection {
  /** Writes a choice for the next start, and for the others. */
  save(selection: Selection): Promise<void>
  /** Has the others read their files again, and choose the same. */
  tellReload(selected: Selected): Promise<void>
  /** Follows what the others choose from now on, and what was chosen last. Resolves when that is done, or could not be. */
  follow(parts: FollowParts): Promise<void>
  /** Follows nothing more; a model that is being loaded for it is not waited for. */
  close(): Promise<void>
}

const problem = 'What another process has selected could not be followed here'

/** As it is kept. */
type Shared = Readonly<{ provider: string | null; model: string | null; reloads: number }>

export function openSharedSelection({ configFile }: Pick<Config, 'configFile'>, parts: SharedSelectionParts): SharedSelection {
  const { db, instances, log } = parts
  const isShared = isPostgres(db)
  let seen = -1
  let reloads: number | undefined
  let following: Promise<void> = Promise.resolve()
  let writing: Promise<void> = Promise.resolve()
  let isClosed = false

  /** One after the other: the last choice is the one that stays. */
  function writeFile(selection: Selection): Promise<void> {
    const written = writing.then(() => writeSelection(configFile, selection))
    writing = written.catch(() => {})
    // The row counts: a folder that cannot be written, as of a container, is no reason to refuse.
    return written.catch((error: unknown) => {
      if (!isShared) throw error
      log.error({ err: error }, 'The selection is kept in the database, but not in its file')
    })
  }

  async function tell({ provider, selectedModel }: Selection, isReload: boolean): Promise<void> {
    if (!isShared) return
    const [seenBefore, reloadsBefore] = [seen, reloads]
    try {
      await db.transaction().execute(async (transaction) => {
        const before = await readRow(transaction)
        const version = (before?.version ?? 0) + 1
        const counted = before?.shared.reloads ?? 0
        const shared: Shared = { provider: provider ?? null, model: selectedModel ?? null, reloads: counted + (isReload ? 1 : 0) }
        // Not if another process had files read again, and that is still to be done here: then this row is followed like theirs.
        if (isReload || counted === (reloads ?? 0)) [seen, reloads] = [version, shared.reloads]
        const row = { version, value: JSON.stringify(shared) }
        await transaction
          .insertInto('sharedState')
          .values({ name: 'selection', ...row })
          .onConflict((conflict) => conflict.column('name').doUpdateSet(row))
          .execute()
      })
    } catch (error) {
      ;[seen, reloads] = [seenBefore, reloadsBefore]
      throw error
    }
    await instances.hint()
  }

  async function look(parts: FollowParts): Promise<void> {
    const row = isClosed ? undefined : await readRow(db)
    // While a choice of this process is being written, the row is still the one before it.
    if (row === undefined || row.version <= seen) return
    const isReload = reloads !== undefined && row.shared.reloads !== reloads
    seen = row.version
    reloads = row.shared.reloads
    await take(row.shared, isReload, parts)
    if (seen === row.version || isClosed) return
    // A choice was made here meanwhile, which this may have undone.
    seen = row.version
    await look(parts)
  }

  async function take(shared: Shared, isReload: boolean, { host, providers, prepare }: FollowParts): Promise<void> {
    const version = seen
    const { provider, model = undefined } = { provider: shared.provider ?? host.name, model: shared.model ?? undefined }
    const selected = providers.selected()
    const isSame = selected.provider === provider && (model ?? selected.model) === (selected.model ?? host.selected()?.name)
    if (isSame && !isReload) return
    const apply = isReload ? await prepare({ provider, model }) : () => providers.select(provider, model)
    if (provider === host.name && model !== undefined && model !== host.selected()?.name) await host.select(model)
    if (isClosed || seen !== version) return
    await apply()
    if (seen === version) await writeFile({ provider, selectedModel: model })
  }

  return {
    async save(selection) {
      await tell(selection, false)
      await writeFile(selection)
    },
    tellReload: ({ provider, model }) => tell({ provider, selectedModel: model }, true),
    follow(following_) {
      if (!isShared) return Promise.resolve()
      const next = () => {
        following = following.then(() => look(following_)).catch((err: unknown) => log.error({ err }, problem))
        return following
      }
      instances.onLook(next, problem)
      return next()
    },
    async close() {
      isClosed = true
      await writing
    },
  }
}

/** Everything is read and checked before anything changes. */
export function followingOf(host: ModelHost, { providers, prepareProviders }: Answers, prices: Prices): FollowParts {
  return {
    host,
    providers,
    async prepare(selected) {
      const applyPrices = await prices.prepare()
      const applyProviders = await prepareProviders(selected)
      return async () => {
        applyPrices()
        await applyProviders()
      }
    },
  }
}

/** What reads the files again, with the choice that stands in them. */
export function createReload(config: Config, { tellReload }: SharedSelection, prepare: FollowParts['prepare']) {
  return async () => {
    const selected = await readSelected(config)
    const applyFiles = await prepare(selected)
    const apply = async () => {
      await applyFiles()
      await tellReload(selected)
    }
    return { selected, apply }
  }
}

async function readRow(db: Database): Promise<Readonly<{ version: number; shared: Shared }> | undefined> {
  const row = await db.selectFrom('sharedState').selectAll().where('name', '=', 'selection').executeTakeFirst()
  return row === undefined ? undefined : { version: row.version, shared: JSON.parse(row.value) }
}
