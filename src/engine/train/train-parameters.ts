import { AppError } from '../../errors.ts'
import { learningRateSchedules, type TrainParameters, trainingMethods } from './protocol.ts'
import { adaptableModules } from './trainable.ts'

/** What does well on a few hundred examples and a model of any size. */
export const defaultTrainParameters: TrainParameters = {
  method: 'sft',
  epochs: 3,
  batchSize: 4,
  accumulation: 1,
  learningRate: 1e-3,
  schedule: 'cosine',
  warmup: 0.05,
  rank: 16,
  alpha: 32,
  modules: adaptableModules,
  dropout: 0,
  maxLength: 1024,
  packs: true,
  maxGradientNorm: 1,
  weightDecay: 0,
  seed: 1,
  patience: 2,
  beta: 0.1,
  replay: 0.25,
}

type NumberField = { [Name in keyof TrainParameters]: TrainParameters[Name] extends number ? Name : never }[keyof TrainParameters]
type Range = Readonly<{ from: number; to: number; isInteger?: boolean; excludes?: 'from' | 'to' }>

const ranges: Readonly<Record<NumberField, Range>> = {
  epochs: { from: 1, to: 1000, isInteger: true },
  batchSize: { from: 1, to: 4096, isInteger: true },
  accumulation: { from: 1, to: 4096, isInteger: true },
  learningRate: { from: 0, to: 1, excludes: 'from' },
  warmup: { from: 0, to: 1 },
  rank: { from: 1, to: 512, isInteger: true },
  alpha: { from: 0, to: 10_000, excludes: 'from' },
  dropout: { from: 0, to: 1, excludes: 'to' },
  maxLength: { from: 16, to: 131_072, isInteger: true },
  maxGradientNorm: { from: 0, to: 1e6 },
  weightDecay: { from: 0, to: 1 },
  seed: { from: 0, to: 2 ** 32 - 1, isInteger: true },
  patience: { from: 0, to: 1000, isInteger: true },
  beta: { from: 0, to: 100, excludes: 'from' },
  replay: { from: 0, to: 10 },
}

/** Throws `invalid` with each field that is out of its range. */
export function checkTrainParameters(parameters: TrainParameters): void {
  const details = [
    ...numberFields.flatMap((field) => checkNumber(field, parameters[field])),
    ...checkChoice('method', [parameters.method], trainingMethods),
    ...checkChoice('schedule', [parameters.schedule], learningRateSchedules),
    ...checkChoice('modules', parameters.modules, adaptableModules),
  ]
  if (details.length === 0) return
  const all = details.map(({ field, expected, got }) => `"${field}" must be ${expected}, but is ${got}`).join('; ')
  throw new AppError('invalid', `The training cannot run so: ${all}.`, { details })
}

const isNumberField = (name: string): name is NumberField => Object.hasOwn(ranges, name)
const numberFields = Object.keys(ranges).filter(isNumberField)

function checkNumber(field: NumberField, value: number) {
  const { from, to, isInteger = false, excludes } = ranges[field]
  const isInside =
    value >= from && value <= to && !(excludes === 'from' && value === from) && !(excludes === 'to' && value === to)
  if (isInside && (!isInteger || Number.isInteger(value))) return []
  const lower = excludes === 'from' ? `above ${from}` : `from ${from}`
  const upper = excludes === 'to' ? `below ${to}` : `to ${to}`
  return [{ field, expected: `${isInteger ? 'a whole number' : 'a number'} ${lower} ${upper}`, got: String(value) }]
}

function checkChoice(field: string, values: readonly string[], choices: readonly string[]) {
  const wrong = values.filter((value) => !choices.includes(value))
  const isTwice = new Set(values).size < values.length
  if (values.length > 0 && wrong.length === 0 && !isTwice) return []
  return [
    {
      field,
      expected: `among ${choices.join(', ')}${values.length > 1 ? ', each once' : ''}`,
      got: values.join(', ') || 'nothing',
    },
  ]
}
