import { decimal } from '../config/kinds.ts'
import { learningRateSchedules, trainingMethods } from '../engine/train/protocol.ts'
import { adaptableModules } from '../engine/train/trainable.ts'
import { AppError } from '../errors.ts'
import type { NewRunBody } from '../training/schema.ts'
import type { Context } from './context.ts'
import type { SayOfTraining } from './train-messages.ts'

const numberFlags = [
  ['epochs', 'epochs'],
  ['batch-size', 'batch_size'],
  ['accumulation', 'accumulation'],
  ['warmup', 'warmup'],
  ['rank', 'rank'],
  ['alpha', 'alpha'],
  ['dropout', 'dropout'],
  ['max-length', 'max_length'],
  ['max-gradient-norm', 'max_gradient_norm'],
  ['weight-decay', 'weight_decay'],
  ['seed', 'seed'],
  ['patience', 'patience'],
  ['beta', 'beta'],
  ['replay', 'replay'],
] as const

const textFlags = [
  ['name', 'name'],
  ['model', 'model'],
  ['dataset', 'dataset'],
  ['replay-dataset', 'replay_dataset'],
] as const

/** Flags that are settings, too: what is given here is meant for this run. */
const settingFlags = [
  ['NUM_TRAIN_EPOCHS', 'epochs'],
  ['TRAIN_BATCH_SIZE', 'batch_size'],
  ['LEARNING_RATE', 'learning_rate'],
] as const

const anyNumber = decimal({ minimum: 0, maximum: Number.MAX_VALUE })

/** What the flags ask for; whether the numbers make sense is for the service to say. Throws `invalid`. */
export function toNewRun({ values, flags, settings }: Context, say: SayOfTraining): NewRunBody {
  const numberOf = (flag: string, value: string) => {
    const number = anyNumber.parse(value)
    if (number !== undefined) return number
    throw new AppError('invalid', say('badNumber', { flag, value }))
  }
  const given = <T>(flag: string, read: (value: string) => T) => {
    const value = values.get(flag)
    return value === undefined ? undefined : read(value)
  }
  const numbers = [
    ...settingFlags.map(([setting, field]) => [field, settings[setting] && numberOf(setting, settings[setting])] as const),
    ...numberFlags.map(([flag, field]) => [field, given(flag, (value) => numberOf(`--${flag}`, value))] as const),
  ]
  const texts = textFlags.map(([flag, field]) => [field, values.get(flag)] as const)
  const choice = <T extends string>(flag: string, known: readonly T[]) => given(flag, (value) => choose(flag, value, known, say))
  const modules = given('modules', (value) => value.split(',').map((one) => choose('modules', one.trim(), adaptableModules, say)))
  const rest = [
    ['method', choice('method', trainingMethods)],
    ['schedule', choice('schedule', learningRateSchedules)],
    ['modules', modules],
    ['packs', flags.has('no-packing') ? false : undefined],
  ] as const
  return Object.fromEntries([...numbers, ...texts, ...rest].filter(([, value]) => value !== undefined && value !== ''))
}

function choose<T extends string>(flag: string, value: string, known: readonly T[], say: SayOfTraining): T {
  const found = known.find((one) => one === value)
  if (found !== undefined) return found
  throw new AppError('invalid', say('badChoice', { flag: `--${flag}`, value, known: known.join(', ') }))
}
