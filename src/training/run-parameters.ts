import type { TrainParameters } from '../engine/train/protocol.ts'
import { adaptableModules } from '../engine/train/trainable.ts'
import { AppError } from '../errors.ts'
import type { NewRunBody, RunAnswer } from './schema.ts'

/** What settings say of runs that say nothing themselves. */
export type UsualParameters = Pick<TrainParameters, 'epochs' | 'batchSize' | 'learningRate'>

/** Throws `invalid` for what has no meaning for the method. */
export function toParameters(body: NewRunBody, usual: UsualParameters): TrainParameters {
  const { method = 'sft', rank = 16 } = body
  if (method === 'sft' && body.beta !== undefined) refuse('beta', 'left out where the method is sft', String(body.beta))
  const { replay = 0.25 } = body
  if (replay === 0 && body.replay_dataset !== undefined)
    refuse('replay_dataset', 'left out where replay is 0', JSON.stringify(body.replay_dataset))
  return {
    method,
    epochs: body.epochs ?? usual.epochs,
    batchSize: body.batch_size ?? usual.batchSize,
    accumulation: body.accumulation ?? 1,
    learningRate: body.learning_rate ?? usual.learningRate,
    schedule: body.schedule ?? 'cosine',
    warmup: body.warmup ?? 0.05,
    rank,
    alpha: body.alpha ?? 2 * rank,
    modules: body.modules ?? adaptableModules,
    dropout: body.dropout ?? 0,
    maxLength: body.max_length ?? 1024,
    packs: body.packs ?? true,
    maxGradientNorm: body.max_gradient_norm ?? 1,
    weightDecay: body.weight_decay ?? 0,
    seed: body.seed ?? 1,
    patience: body.patience ?? 2,
    beta: body.beta ?? 0.1,
    replay,
  }
}

function refuse(field: string, expected: string, got: string): never {
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
