import { service } from '../shell/service.ts'

/** Which training run has made an adapter, by the name of the model that answers with it. */
export function createOrigins() {
  let runs = $state.raw<ReadonlyMap<string, string>>(new Map())
  return {
    runOf: (model: string): string | undefined => runs.get(model),
    /** Of the latest runs. What cannot be read is not told: the models are there all the same. */
    async read(): Promise<void> {
      const page = await service.trainingRuns().catch(() => undefined)
      const made = page?.items.flatMap(({ served_as: model, name }) => (model === null ? [] : [[model, name] as const])) ?? []
      runs = new Map(made)
    },
  }
}
