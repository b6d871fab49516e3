import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Type } from 'typebox'
import type { OnnxModelFiles } from '../engine/local/embed-protocol.ts'
import { readBertShape } from './convert/bert-checkpoint.ts'
import { findJson } from './convert/json-file.ts'
import type { Prefixes } from './embedding-families.ts'
import type { ModelFacts } from './model-kind.ts'

/** What a checkpoint of the BERT family is made into, in its own folder. */
export const onnxFile = 'model.onnx'
/** Hidden: the files of these folders are no models by themselves. */
export const checkpointsFolder = '.checkpoints'

export type OnnxModel = Readonly<{
  /** As the repository, without its owner where no other has that name. */
  name: string
  repository: string
  folder: string
}>

/** The checkpoints that were made into models for ONNX Runtime, in the order of their repositories. */
export async function listOnnxModels(modelsDir: string): Promise<readonly OnnxModel[]> {
  const root = join(modelsDir, checkpointsFolder)
  const models: OnnxModel[] = []
  for (const owner of await foldersIn(root)) {
    for (const repo of await foldersIn(join(root, owner))) {
      const [folder, repository] = [join(root, owner, repo), `${owner}/${repo}`]
      if (!(await isFile(join(folder, onnxFile)))) continue
      const isTaken = models.some(({ name }) => name === repo)
      models.push({ name: isTaken ? repository : repo, repository, folder })
    }
  }
  return models
}

async function foldersIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  return entries.flatMap((entry) => (entry.isDirectory() && !entry.name.startsWith('.') ? [entry.name] : [])).sort()
}

export const isFile = (path: string) =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  )

/** What a process needs to load it. Throws `invalid` when its configuration is none. */
export async function readOnnxModel(folder: string): Promise<OnnxModelFiles> {
  const { pooling, maxTokens } = await readBertShape(folder)
  return { type: 'onnx', folder, pooling, maxTokens }
}

const Sentences = Type.Object({ prompts: Type.Optional(Type.Record(Type.String(), Type.String())) })

/** What the model itself says that it wants before its texts; undefined where it says nothing. */
export async function findOwnPrefixes(folder: string): Promise<Prefixes | undefined> {
  const { prompts = {} } = (await findJson(folder, 'config_sentence_transformers.json', Sentences)) ?? {}
  // sentence-transformers writes both as empty texts where nobody has set them.
  const { query = '', document = prompts.passage ?? '' } = prompts
  return query === '' && document === '' ? undefined : { query, document }
}

/** What is told of a model file for ONNX Runtime; its checkpoint lies beside it. Throws `invalid`, `not_found`. */
export async function readOnnxFacts(path: string): Promise<ModelFacts> {
  const shape = await readBertShape(dirname(path))
  const { size } = await stat(path)
  return {
    kind: shape.head === 'none' ? 'embedding' : 'reranker',
    architecture: shape.family,
    name: basename(dirname(path)),
    // All but some hundred bytes are numbers of 32 bits.
    parameters: Math.floor(size / Float32Array.BYTES_PER_ELEMENT),
    quantization: 'F32',
    contextLength: shape.maxTokens,
    layers: shape.layers,
    embeddingLength: shape.hiddenSize,
    feedForwardLength: shape.intermediateSize,
    heads: shape.heads,
    headsKv: shape.heads,
    headsKvTotal: 0,
    keyLength: shape.hiddenSize / shape.heads,
    valueLength: shape.hiddenSize / shape.heads,
    vocabularySize: shape.vocabularySize,
    outputType: undefined,
    slidingWindow: 0,
    experts: 0,
    tensorBytes: size,
    fileBytes: size,
    files: 1,
    pooling: shape.head === 'none' ? shape.pooling : 'rank',
    causal: false,
    hasChatTemplate: false,
    adapter: undefined,
    tensors: [],
  }
}
