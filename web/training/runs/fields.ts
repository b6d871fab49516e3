import { adaptableModules } from '../../../src/engine/train/trainable.ts'
import { type NewRunBody, newRunBody } from '../../../src/training/schema.ts'

/** Settings of a run that are numbers, in the order in which they are shown. */
export const fieldNames = [
  'epochs',
  'batch_size',
  'accumulation',
  'learning_rate',
  'warmup',
  'rank',
  'alpha',
  'dropout',
  'max_length',
  'max_gradient_norm',
  'weight_decay',
  'seed',
  'patience',
  'beta',
  'replay',
] as const
export type FieldName = (typeof fieldNames)[number]

export const schedules = ['cosine', 'linear', 'constant'] as const

/** What a method has no use for is refused by the service. */
export const fieldsOf = (method: RunForm['method']): readonly FieldName[] =>
  fieldNames.filter((name) => name !== (method === 'sft' ? 'beta' : 'replay'))

export type Bounds = Readonly<{ from: number; to: number; isInteger: boolean }>

/** As the schema has them. */
export function boundsOf(name: FieldName): Bounds {
  const schema = newRunBody.properties[name]
  const given = new Map<string, unknown>(Object.entries(schema))
  const numberOf = (...keys: readonly string[]) =>
    keys.map((key) => given.get(key)).find((value) => typeof value === 'number') ?? 0
  return {
    from: numberOf('minimum', 'exclusiveMinimum'),
    to: numberOf('maximum', 'exclusiveMaximum'),
    isInteger: schema.type === 'integer',
  }
}

/** What is filled in. Numbers that are null or missing are as usual. */
export type RunForm = Readonly<{
  name: string
  model: string
  dataset: string
  method: 'sft' | 'dpo'
  numbers: Readonly<Partial<Record<FieldName, number | null>>>
  schedule: '' | (typeof schedules)[number]
  packs: '' | 'on' | 'off'
  modules: readonly string[]
  replayDataset: string
}>

export const emptyRunForm: RunForm = {
  name: '',
  model: '',
  dataset: '',
  method: 'sft',
  numbers: {},
  schedule: '',
  packs: '',
  modules: adaptableModules,
  replayDataset: '',
}

export { adaptableModules }

export function toRunBody(form: RunForm): Omit<NewRunBody, 'plan_only'> {
  const numbers = fieldsOf(form.method).flatMap((name) => {
    const value = form.numbers[name]
    return typeof value === 'number' ? [[name, value] as const] : []
  })
  const modules = adaptableModules.filter((module) => form.modules.includes(module))
  const replays = form.method === 'sft' && form.replayDataset !== '' && form.numbers.replay !== 0
  return {
    ...(form.name.trim() === '' ? {} : { name: form.name.trim() }),
    ...(form.model === '' ? {} : { model: form.model }),
    ...(form.dataset === '' ? {} : { dataset: form.dataset }),
    method: form.method,
    ...Object.fromEntries(numbers),
    ...(form.schedule === '' ? {} : { schedule: form.schedule }),
    ...(form.packs === '' ? {} : { packs: form.packs === 'on' }),
    ...(modules.length === adaptableModules.length ? {} : { modules }),
    ...(replays ? { replay_dataset: form.replayDataset } : {}),
  }
}
