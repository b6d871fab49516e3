import type { TrainParameters } from '../engine/train/protocol.ts'
import { type AdaptableModule, trainableArchitectures } from '../engine/train/trainable.ts'
import { AppError } from '../errors.ts'
import type { ModelFacts } from '../models/model-kind.ts'
import type { LearnedDataset } from './trainer.ts'

/** An installed model that is to learn. */
export type BaseModel = Readonly<{
  name: string
  path: string
  facts: Pick<
    ModelFacts,
    | 'kind'
    | 'architecture'
    | 'layers'
    | 'embeddingLength'
    | 'feedForwardLength'
    | 'heads'
    | 'headsKv'
    | 'keyLength'
    | 'valueLength'
  >
}>

/** Throws `invalid` for a model that cannot be trained. */
export function refuseUntrainable({ name, facts }: BaseModel): void {
  if (facts.kind === 'chat' && trainableArchitectures.some((known) => known === facts.architecture)) return
  const got = facts.kind === 'chat' ? `of ${facts.architecture}` : `of the kind "${facts.kind}"`
  const expected = `a chat model of one of these architectures: ${trainableArchitectures.join(', ')}`
  throw new AppError('invalid', `"${name}" cannot be trained: it must be ${expected}, but is ${got}.`, {
    details: [{ field: 'model', expected, got }],
  })
}

/** Throws `invalid` where there is nothing in a dataset that the method can learn. */
export function refuseUnfitting(
  { name, version, kind, trainRows }: LearnedDataset,
  { method }: Pick<TrainParameters, 'method'>,
): void {
  const refuse = (expected: string, got: string): never => {
    throw new AppError('invalid', `The dataset "${name}:${version}" must hold ${expected}, but holds ${got}.`, {
      details: [{ field: 'dataset', expected, got }],
    })
  }
  if (method === 'dpo' && kind !== 'preference')
    refuse('pairs of a chosen and a rejected answer, for dpo', `examples of the kind "${kind}"`)
  if (trainRows === 0) refuse('examples to learn from', 'none')
}

/** General text is learned as it stands. Throws `invalid`. */
export function refuseAsReplay({ name, version, kind, trainRows }: LearnedDataset): void {
  if (kind !== 'preference' && trainRows > 0) return
  const [expected, got] = ['conversations or texts', kind === 'preference' ? 'pairs' : 'none']
  throw new AppError(
    'invalid',
    `The dataset "${name}:${version}" can only be replayed when it holds ${expected}, but it holds ${got}.`,
    {
      details: [{ field: 'replay_dataset', expected, got }],
    },
  )
}

/** Numbers of an adapter: for each layer A (rank × in) and B (out × rank). */
export function countAdapterNumbers({ facts }: BaseModel, { rank, modules }: Pick<TrainParameters, 'rank' | 'modules'>): number {
  const { embeddingLength: width, feedForwardLength: inner } = facts
  const sides: Record<AdaptableModule, number> = {
    attn_q: width + facts.heads * facts.keyLength,
    attn_k: width + facts.headsKv * facts.keyLength,
    attn_v: width + facts.headsKv * facts.valueLength,
    attn_output: facts.heads * facts.valueLength + width,
    ffn_gate: width + inner,
    ffn_up: width + inner,
    ffn_down: inner + width,
  }
  return facts.layers * rank * modules.reduce((sum, module) => sum + sides[module], 0)
}

const bytesPerNumber = 4
/** Examples, replayed text and whatever is small. */
const besidesBytes = 64 * 1024 ** 2

export type Disks = Readonly<{ trainingDir: string; modelsDir: string; freeBytes: (folder: string) => Promise<number> }>

/** What a run writes: a checkpoint holds the adapter and two moments of each number, beside the one before, and the best adapter. */
export const diskBytes = (adapterNumbers: number): number => 8 * adapterNumbers * bytesPerNumber + besidesBytes

/** The finished adapter is copied to the models. Throws `storage_full` with the numbers. */
export async function refuseFullDisk({ trainingDir, modelsDir, freeBytes }: Disks, adapterNumbers: number): Promise<void> {
  for (const [folder, needed] of [
    [trainingDir, diskBytes(adapterNumbers)],
    [modelsDir, adapterNumbers * bytesPerNumber],
  ] as const) {
    const free = await freeBytes(folder)
    if (free >= needed) continue
    const [need, have] = [needed, free].map((bytes) => Math.ceil(bytes / 1024 ** 2))
    throw new AppError(
      'storage_full',
      `The run needs ${need} MB in ${folder}, but only ${have} MB are free. Free some space, or choose a lower rank.`,
    )
  }
}
