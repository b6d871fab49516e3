import { service } from '../../shell/service.ts'

/** Whether a model answers by itself: adapters need their base, embedders write no answers. */
export const isAnswering = (model: Readonly<{ name: string }>): boolean => !('kind' in model) || model.kind === 'chat'

export type KnownModels = Readonly<{ names: readonly string[]; selected: string | undefined }>

/** Models that can answer: installed ones, what runs have taught, and those of other providers. The selected one is told apart. */
export async function listModels(): Promise<KnownModels> {
  const [{ models }, { items: runs }, { providers }] = await Promise.all([
    service.models(),
    service.trainingRuns(undefined, 'completed'),
    service.providers(),
  ])
  const taught = runs.flatMap(({ served_as: name }) => (name === null ? [] : [name]))
  const elsewhere = providers.flatMap(({ name, ran_on: ranOn, models: known }) =>
    ranOn === 'cloud' ? known.map((model) => `${name}/${model}`) : [],
  )
  return {
    names: [...new Set([...models.filter(isAnswering).map(({ name }) => name), ...taught, ...elsewhere])],
    selected: models.find(({ selected }) => selected)?.name,
  }
}
