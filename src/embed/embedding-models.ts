import type { Embedder, Embedders } from '../engine/embedder.ts'
import { AppError } from '../errors.ts'
import type { Collection } from './collection.ts'

/** The embedding models that are there. */
export type EmbeddingModels = Pick<Embedders, 'usual' | 'find'>

/** Throws `not_found`. */
export async function getModel(models: EmbeddingModels, name: string): Promise<Embedder> {
  // The usual one says itself how it is installed where it is missing.
  const found = name === models.usual.name ? models.usual : await models.find(name)
  if (found !== undefined) return found
  throw new AppError('not_found', `No embedding model is called "${name.slice(0, 100)}".`)
}

/** The model that can read the vectors of a collection. Throws `conflict` with how to re-embed when it is there no more. */
export async function modelOf(models: EmbeddingModels, collection: Collection): Promise<Embedder> {
  const found = collection.model === models.usual.name ? models.usual : await models.find(collection.model)
  if (found !== undefined) return found
  throw new AppError('conflict', otherModelMessage(collection, { name: models.usual.name }))
}

/** What tells somebody that a collection and a model do not belong together, and what to do. */
export function otherModelMessage(collection: Collection, model: Readonly<{ name: string; dimensions?: number }>): string {
  const size = model.dimensions === undefined ? '' : ` (${model.dimensions} dimensions)`
  const held = `The collection "${collection.name}" holds vectors of the model "${collection.model}" (${collection.dimensions} dimensions)`
  const reEmbed = `POST /embed/collections/${collection.id}/re-embed`
  if (model.name === collection.model)
    return (
      `${held}, and what is installed under that name now is another one${size}. Nothing was changed: install the earlier one again, ` +
      `or re-embed the collection with a model of another name: ${reEmbed}.`
    )
  return (
    `${held}, and the model in use is "${model.name}"${size}. Their vectors cannot be compared. Nothing was changed: re-embed the ` +
    `collection with ${reEmbed}, or use "${collection.model}" again.`
  )
}

/** How many numbers a vector of the model has. Throws as the model does. */
export async function dimensionsOf(model: Embedder, signal: AbortSignal): Promise<number> {
  const { vectors } = await model.encode({ texts: ['a'], truncate: true, purpose: 'document' }, signal)
  return vectors[0]?.length ?? 0
}
