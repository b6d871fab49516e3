import { AppError } from '../errors.ts'
import type { HubFile, HubListing } from './hub-listing.ts'
import { type HubName, isInside, modelEnding } from './model-name.ts'
import { quantizationOf, rankOf } from './quantization-name.ts'
import { isQuantization, listParts } from './registry.ts'

/** The files to download: a model (one file, or all those of a split one, in order), or what a checkpoint consists of. */
export type Choice = Readonly<{ type: 'model' | 'checkpoint'; files: readonly HubFile[] }>

type Candidate = Readonly<{ files: readonly HubFile[]; quantization: string | undefined; sizeBytes: number }>

/** Context, buffers and the rest, on top of the weights: what a model needs at the least to be of use. */
const overhead = 0.1

/**
 * Picks what a name means in a repository. Without a file or a quantization that is the one that comes first in the order of
 * quantization-name.ts and fits into the memory. Throws `not_found` with what there is, or `invalid` with the numbers when nothing fits.
 */
export function chooseFiles(listing: HubListing, asked: HubName, memoryBytes: number): Choice {
  const candidates = listCandidates(listing.files)
  if (candidates.length === 0) return chooseCheckpoint(listing, asked)
  const { file, quantization } = asked
  if (file !== undefined) {
    const named = candidates.find(({ files }) => files.some(({ path }) => path === file))
    if (named === undefined) throw notThere(listing, `file ${file}`, candidates.map(firstPath))
    return { type: 'model', files: named.files }
  }
  if (quantization !== undefined) {
    const named = candidates.find(({ files }) => isNamed(quantization, files[0]?.path ?? ''))
    const known = [...new Set(candidates.map((candidate) => candidate.quantization ?? firstPath(candidate)))]
    if (named === undefined) throw notThere(listing, `quantization ${quantization}`, known)
    return { type: 'model', files: named.files }
  }
  const best = candidates.find(({ sizeBytes }) => sizeBytes * (1 + overhead) <= memoryBytes)
  if (best === undefined) throw nothingFits(listing, candidates, memoryBytes)
  return { type: 'model', files: best.files }
}

/** Whole models, best first; projectors and matrices that lie beside them are none. */
function listCandidates(files: readonly HubFile[]): readonly Candidate[] {
  const byPath = new Map(files.filter(isModel).map((file) => [file.path, file]))
  const candidates = [...byPath.values()].flatMap((file): Candidate[] => {
    const stem = file.path.slice(0, -modelEnding.length)
    if (/-(?!00001)\d{5}-of-\d{5}$/.test(stem)) return []
    const parts = listParts(stem).map((part) => byPath.get(`${part}${file.path.slice(-modelEnding.length)}`))
    const whole = parts.filter((part) => part !== undefined)
    if (whole.length < parts.length) return []
    const sizeBytes = whole.reduce((sum, part) => sum + part.sizeBytes, 0)
    return [{ files: whole, quantization: quantizationOf(stem), sizeBytes }]
  })
  return candidates.sort(
    (one, other) =>
      rankOf(one.quantization) - rankOf(other.quantization) ||
      firstPath(one).length - firstPath(other).length ||
      (firstPath(one) < firstPath(other) ? -1 : 1),
  )
}

const firstPath = ({ files }: Candidate) => files[0]?.path ?? ''

function isModel({ path, sizeBytes }: HubFile): boolean {
  const name = path.split('/').at(-1)?.toLowerCase() ?? ''
  return name.endsWith(modelEnding) && isInside(path) && sizeBytes > 0 && !/mmproj|imatrix/.test(name)
}

function isNamed(asked: string, path: string): boolean {
  if (isQuantization(asked, path.slice(0, -modelEnding.length))) return true
  // A tag that is none of the known ones, but stands in the name all the same.
  const words = (text: string) => `-${text.toLowerCase().replace(/[._/]/g, '-')}-`
  return quantizationOf(asked) === undefined && words(path).includes(words(asked))
}

const checkpointFile =
  /^(?:config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|modules|sentence_bert_config|config_sentence_transformers|quantize_config|quant_config|1_Pooling\/config)\.json$|^(?:vocab|merges)\.txt$|^(?:tokenizer|spiece|sentencepiece\.bpe)\.model$|^chat_template[\w.-]*$|^[\w.-]+\.safetensors(?:\.index\.json)?$/

/** What a converter needs: weights, configuration, tokenizer. */
function chooseCheckpoint({ repository, files }: HubListing, { file, quantization }: HubName): Choice {
  const found = files.filter(({ path }) => checkpointFile.test(path) && isInside(path))
  const isWeights = ({ path }: HubFile) => path.endsWith('.safetensors')
  // Mistral gives the same weights twice, once in a format of its own.
  const isDouble = ({ path }: HubFile) =>
    path.startsWith('consolidated') && found.some((one) => /^model.*\.safetensors$/.test(one.path))
  const chosen = found.filter((one) => !isDouble(one))
  const isComplete = chosen.some(isWeights) && chosen.some(({ path }) => path === 'config.json')
  if (!isComplete || file !== undefined || quantization !== undefined) {
    const hint = isComplete ? ` It has a checkpoint that can be converted: ask for ${repository} alone.` : ''
    throw new AppError('not_found', `The repository ${repository} has no GGUF file.${hint}`)
  }
  return { type: 'checkpoint', files: chosen }
}

function notThere({ repository }: HubListing, what: string, known: readonly string[]): AppError {
  return new AppError('not_found', `The repository ${repository} has no ${what}. It has: ${known.slice(0, 30).join(', ')}.`)
}

function nothingFits({ repository }: HubListing, candidates: readonly Candidate[], memoryBytes: number): AppError {
  const gigabytes = (bytes: number) => `${(bytes / 1024 ** 3).toFixed(2)} GB`
  const smallest = candidates.reduce((least, candidate) => (candidate.sizeBytes < least.sizeBytes ? candidate : least))
  const name = smallest.quantization ?? firstPath(smallest)
  const needed = smallest.sizeBytes * (1 + overhead)
  return new AppError(
    'invalid',
    `No file of ${repository} fits into memory: the smallest, ${name}, needs about ${gigabytes(needed)}, and models may take ` +
      `${gigabytes(memoryBytes)} (MEMORY_BUDGET). To download one all the same, name it: ${repository}:${name}.`,
  )
}
