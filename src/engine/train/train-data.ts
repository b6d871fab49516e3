import { AppError } from '../../errors.ts'
import type { ChatModel } from '../chat-format-render.ts'
import type { ChatTemplateRenderer } from '../chat-template.ts'
import { fillBatch, type LearnedExample, planUpdates, tokensOf, type Update } from './batches.ts'
import { createExampleReader, type ExampleTokenizer, type TokenRow } from './example-tokens.ts'
import { targetCount } from './objective.ts'
import type { TrainJob, TrainParameters, TrainPlan } from './protocol.ts'
import { type ReadExamples, readExamples } from './read-examples.ts'

export type DataParts = Readonly<{
  renderer: ChatTemplateRenderer
  /** The tokenizer and the chat template of the model. */
  openVocabulary(path: string): ExampleTokenizer & ChatModel & Readonly<{ close(): void }>
}>

/** A batch that is as large, as long and has as many targets as any of a run. */
export type LargestBatch = Readonly<{ rows: number; length: number; targets: number }>

export type TrainData = Readonly<{
  learned: ReadExamples
  heldOut: ReadExamples
  replay: readonly TokenRow[]
  updates: readonly Update[]
}>

/** Throws `invalid` when there is nothing to learn from. */
export async function readTrainData(
  { modelPath, trainFile, heldOutFile, replayFile, parameters }: TrainJob,
  parts: DataParts,
): Promise<TrainData> {
  const { method, maxLength } = parameters
  const vocabulary = parts.openVocabulary(modelPath)
  try {
    const reader = createExampleReader({ model: vocabulary, tokenizer: vocabulary, renderer: parts.renderer, maxLength })
    const learned = await readExamples(trainFile, reader, method)
    if (learned.examples.length === 0)
      throw new AppError(
        'invalid',
        `There is nothing to learn from: ${learned.tooLong} examples have more than ${maxLength} tokens, ${learned.empty} are empty.`,
      )
    const heldOut = await readExamples(heldOutFile, reader, method)
    const isReplayed = replayFile !== undefined && parameters.replay > 0 && method === 'sft'
    const general = isReplayed ? await readExamples(replayFile, reader, 'sft') : undefined
    const replay = general?.examples.flatMap(({ rows }) => rows) ?? []
    return { learned, heldOut, replay, updates: planUpdates(learned.examples, replay, parameters) }
  } finally {
    vocabulary.close()
  }
}

function pieceRows(examples: readonly LearnedExample[], replay: readonly TokenRow[], piece: Update['pieces'][number]) {
  return [
    ...piece.examples.flatMap((index) => examples[index]?.rows ?? []),
    ...piece.replay.flatMap((index) => replay[index] ?? []),
  ]
}

export function largestBatch({ learned, heldOut, replay, updates }: TrainData, parameters: TrainParameters): LargestBatch {
  const { batchSize } = parameters
  const held = Array.from({ length: Math.ceil(heldOut.examples.length / batchSize) }, (_, index) =>
    heldOut.examples.slice(index * batchSize, (index + 1) * batchSize).flatMap(({ rows }) => rows),
  )
  const pieces = updates.flatMap((update) => update.pieces.map((piece) => pieceRows(learned.examples, replay, piece)))
  const largest = { tokens: 0, length: 1, targets: 0 }
  for (const rows of [...pieces, ...held]) {
    const { batch } = fillBatch(rows, parameters)
    largest.tokens = Math.max(largest.tokens, batch.rows * batch.length)
    largest.length = Math.max(largest.length, batch.length)
    largest.targets = Math.max(largest.targets, batch.targets.length)
  }
  const { tokens, length, targets } = largest
  return { rows: Math.ceil(tokens / length), length, targets }
}

export function countData({
  learned,
  heldOut,
  replay,
  updates,
}: TrainData): Omit<TrainPlan, 'type' | 'trainableParameters' | 'memoryBytes' | 'seconds' | 'parity'> {
  const pieces = updates.filter(({ epoch }) => epoch === 1).flatMap((update) => update.pieces)
  const rows = pieces.flatMap((piece) => pieceRows(learned.examples, replay, piece))
  return {
    examples: learned.examples.length,
    tooLong: learned.tooLong,
    empty: learned.empty,
    heldOut: heldOut.examples.length,
    tokens: tokensOf(rows),
    targets: targetCount(rows),
    steps: updates.length,
  }
}
