import { join } from 'node:path'
import type { EmbedModel } from '../engine/local/embed-protocol.ts'
import type { EmbeddersParts, InstalledEmbedModel } from '../engine/local/embedders.ts'
import { AppError } from '../errors.ts'
import type { Catalog } from './catalog.ts'
import { prefixesOf } from './embedding-families.ts'
import { embeddingModel, embeddingRepository } from './embedding-model.ts'
import { quoted } from './model-name.ts'
import { checkpointsFolder, findOwnPrefixes, isFile, onnxFile, readOnnxModel } from './onnx-models.ts'
import type { ModelRegistry } from './registry.ts'

export type EmbedModelsParts = Readonly<{
  modelsDir: string
  registry: ModelRegistry
  catalog: Catalog
  aliases: ReadonlyMap<string, string>
  threads: number
}>

/** The installed embedding models and rerankers, and what their processes need. */
export function createEmbedModels(parts: EmbedModelsParts): Pick<EmbeddersParts, 'find' | 'list' | 'describe'> {
  const { modelsDir, registry, catalog, aliases, threads } = parts

  async function find(given: string): Promise<InstalledEmbedModel | undefined> {
    try {
      const file = await registry.find(aliases.get(given) ?? given)
      const { kind } = await catalog.factsOf(file)
      return kind === 'embedding' || kind === 'reranker' ? { name: file.name, kind } : undefined
    } catch (error) {
      if (error instanceof AppError && ['not_found', 'invalid'].includes(error.code)) return undefined
      throw error
    }
  }

  async function list(): Promise<readonly InstalledEmbedModel[]> {
    return (await catalog.list()).flatMap(({ name, kind }) =>
      kind === 'embedding' || kind === 'reranker' ? [{ name, kind }] : [],
    )
  }

  async function describe(name: string): Promise<EmbedModel> {
    const found = await find(name)
    if (found === undefined) throw notInstalled(name)
    const { path, origin } = await registry.describe(found.name)
    const repository = origin?.repository ?? ''
    const folder = path.endsWith(onnxFile) ? path.slice(0, -onnxFile.length) : await findCheckpoint(repository)
    const files = folder === undefined ? ({ type: 'gguf', path } as const) : await readOnnxModel(folder)
    const own = folder === undefined ? undefined : await findOwnPrefixes(folder)
    return { kind: found.kind, files, prefixes: own ?? prefixesOf(`${repository} ${found.name}`), threads }
  }

  /** A GGUF file that was made of a checkpoint may lie there beside the model for ONNX Runtime, which is faster. */
  async function findCheckpoint(repository: string): Promise<string | undefined> {
    const folder = join(modelsDir, checkpointsFolder, repository)
    return repository !== '' && (await isFile(join(folder, onnxFile))) ? folder : undefined
  }

  return { find, list, describe }
}

function notInstalled(name: string): AppError {
  const isUsual = name === embeddingModel
  const pull = `"./run_llm.sh models pull ${isUsual ? embeddingRepository : 'OWNER/REPOSITORY'}"`
  const how = isUsual ? `Get it with "./run_llm.sh all", or ${pull}.` : `Get it with ${pull}.`
  return new AppError('unavailable', `The embedding model ${quoted(name)} is not installed. ${how}`)
}
