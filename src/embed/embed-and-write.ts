import { AppError } from '../errors.ts'
import type { Database } from '../storage/tables.ts'
import type { Collection } from './collection.ts'
import { findById, noCollection } from './collections.ts'
import { type EmbeddingModels, modelOf, otherModelMessage } from './embedding-models.ts'
import { insertVectors } from './vector-rows.ts'

/** Texts that are given to the model at once. */
export const textsPerCall = 64
/** How often the collection may change its model under a write before the write is given up. */
const attempts = 5

export type EmbedOptions = Readonly<{
  truncate: boolean
  signal: AbortSignal
  /** Hears of how many texts the vectors are made. */
  onEmbedded?: ((texts: number) => void) | undefined
}>

/** Stores the vectors of the passages, in the order of their texts, for each model that the collection needs them of. */
export type StoreVectors = (passageIds: readonly number[]) => Promise<void>

export type EmbeddedWrite<T> = Readonly<{
  collection: Collection
  texts: readonly string[]
  options: EmbedOptions
  /** The rows, in the transaction. */
  write: (db: Database, collection: Collection, storeVectors: StoreVectors) => Promise<T>
}>

/** What was written, the collection as it was then, and the vectors that answer its searches. */
export type Written<T> = Readonly<{ outcome: T; collection: Collection; vectors: readonly Float32Array[] }>

/**
 * Makes the vectors first, as that takes long and can fail, and then writes all rows in one transaction. A collection that gets another
 * model meanwhile is noticed inside the transaction, and its vectors are made before it begins again. While a collection is on the way
 * to another model, vectors of both are stored; should the next one fail, then those that move the collection will find the gap.
 */
export async function embedAndWrite<T>(
  { db, models }: Readonly<{ db: Database; models: EmbeddingModels }>,
  { collection, texts, options, write }: EmbeddedWrite<T>,
): Promise<Written<T>> {
  const made = new Map<string, readonly Float32Array[] | undefined>()
  let seen = collection
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    if (!made.has(seen.model)) made.set(seen.model, await embedFor(models, seen, texts, options))
    const { nextModel } = seen
    if (nextModel !== undefined && !made.has(nextModel)) {
      made.set(
        nextModel,
        await embedFor(models, { ...seen, model: nextModel }, texts, options).catch(unlessGivenUp(options.signal)),
      )
    }
    const written = await db.transaction().execute(async (transaction): Promise<Written<T> | Collection> => {
      const current = await findById(transaction, collection.id)
      if (current === undefined) throw noCollection(collection.name)
      const vectors = made.get(current.model)
      if (vectors === undefined || (current.nextModel !== undefined && !made.has(current.nextModel))) return current
      refuseOtherSize(current, vectors)
      const outcome = await write(transaction, current, async (ids) => {
        for (const model of [current.model, current.nextModel]) {
          const those = model === undefined ? undefined : made.get(model)
          if (model !== undefined && those !== undefined) await insertVectors(transaction, model, ids, those)
        }
      })
      return { outcome, collection: current, vectors }
    })
    if ('outcome' in written) return written
    seen = written
  }
  throw new AppError('conflict', `The collection "${collection.name}" changes its model again and again. Try again later.`)
}

/** In pieces, so that a long list takes turns with what others ask of the model. */
async function embedFor(
  models: EmbeddingModels,
  collection: Collection,
  texts: readonly string[],
  { truncate, signal, onEmbedded }: EmbedOptions,
): Promise<readonly Float32Array[]> {
  if (texts.length === 0) return []
  const model = await modelOf(models, collection)
  const vectors: Float32Array[] = []
  for (let from = 0; from < texts.length; from += textsPerCall) {
    const piece = texts.slice(from, from + textsPerCall)
    vectors.push(...(await model.encode({ texts: piece, truncate, purpose: 'document' }, signal)).vectors)
    onEmbedded?.(vectors.length)
  }
  return vectors
}

function unlessGivenUp(signal: AbortSignal) {
  return (error: unknown): undefined => {
    if (signal.aborted) throw error
    return undefined
  }
}

/** The same name may stand for other weights than when the collection was made. */
function refuseOtherSize(collection: Collection, vectors: readonly Float32Array[]): void {
  const wrong = vectors.find(({ length }) => length !== collection.dimensions)
  if (wrong === undefined) return
  throw new AppError('conflict', otherModelMessage(collection, { name: collection.model, dimensions: wrong.length }))
}
