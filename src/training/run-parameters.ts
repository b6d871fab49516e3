import type { TrainParameters } from '../engine/train/protocol.ts'
import { defaultTrainParameters as usually } from '../engine/train/train-parameters.ts'
import { AppError } from '../errors.ts'
import type { NewRunBody, RunAnswer } from './schema.ts'

/** What settings say of runs that say nothing themselves; undefined: what does well. */
export type UsualParameters = Readonly<{ epochs: number | undefined; batchSize: number; learningRate: number | undefined }>

/** The parameters of a run whose dataset is not known yet. Epochs undefined: as many as `usualEpochs` says. */
export type WantedParameters = Omit<TrainParameters, 'epochs'> & Readonly<{ epochs: number | undefined }>

const usualLearningRates = { sft: usually.learningRate, dpo: 5e-5 } as const

/** Twenty corrections, four at a time, are learned word for word in about so many updates. */
const usualUpdates = 60
const [fewestEpochs, mostEpochs] = [3, 20]

/** Passes over so many examples that make about 60 updates: a few corrections need many, a large dataset few. */
export function usualEpochs(examples: number, { batchSize, accumulation }: WantedParameters): number {
  const updates = Math.max(1, Math.ceil(examples / (batchSize * accumulation)))
  return Math.min(mostEpochs, Math.max(fewestEpochs, Math.ceil(usualUpdates / updates)))
}

/** Throws `invalid` for what has no meaning for the method. */
export function toParameters(body: NewRunBody, usual: UsualParameters): WantedParameters {
  const { method = usually.method, rank = usually.rank } = body
  if (method === 'sft') refuseGiven(body, 'beta', 'the method is sft')
  else for (const field of ['replay', 'replay_dataset'] as const) refuseGiven(body, field, 'the method is dpo')
  // Beta does what replay is for.
  const { replay = method === 'dpo' ? 0 : usually.replay } = body
  if (replay === 0) refuseGiven(body, 'replay_dataset', 'replay is 0')
  return {
    method,
    epochs: body.epochs ?? usual.epochs,
    batchSize: body.batch_size ?? usual.batchSize,
    accumulation: body.accumulation ?? usually.accumulation,
    learningRate: body.learning_rate ?? usual.learningRate ?? usualLearningRates[method],
    schedule: body.schedule ?? usually.schedule,
    warmup: body.warmup ?? usually.warmup,
    rank,
    alpha: body.alpha ?? (usually.alpha / usually.rank) * rank,
    modules: body.modules ?? usually.modules,
    dropout: body.dropout ?? usually.dropout,
    maxLength: body.max_length ?? usually.maxLength,
    packs: body.packs ?? usually.packs,
    maxGradientNorm: body.max_gradient_norm ?? usually.maxGradientNorm,
    weightDecay: body.weight_decay ?? usually.weightDecay,
    seed: body.seed ?? usually.seed,
    patience: body.patience ?? usually.patience,
    beta: body.beta ?? usually.beta,
    replay,
  }
}

/** What would be of no use is not passed over in silence. */
function refuseGiven(body: NewRunBody, field: 'beta' | 'replay' | 'replay_dataset', why: string): void {
  if (body[field] === undefined) return
  const [expected, got] = [`left out where ${why}`, JSON.stringify(body[field])]
  throw new AppError('invalid', `"${field}" must be ${expected}, but is ${got}.`, { details: [{ field, expected, got }] })
}

export function toParametersAnswer(parameters: TrainParameters): RunAnswer['parameters'] {
  return {
    method: parameters.method,
    epochs: parameters.epochs,
    batch_size: parameters.batchSize,
    accumulation: parameters.accumulation,
    learning_rate: parameters.learningRate,
    schedule: parameters.schedule,
    warmup: parameters.warmup,
    rank: parameters.rank,
    alpha: parameters.alpha,
    modules: [...parameters.modules],
    dropout: parameters.dropout,
    max_length: parameters.maxLength,
    packs: parameters.packs,
    max_gradient_norm: parameters.maxGradientNorm,
    weight_decay: parameters.weightDecay,
    seed: parameters.seed,
    patience: parameters.patience,
    beta: parameters.beta,
    replay: parameters.replay,
  }
}
