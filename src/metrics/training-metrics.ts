import { Gauge, type Registry } from 'prom-client'

/** What is told of training; the numbers of the run that runs are 0 where none does. */
export type TrainingNumbers = Readonly<{
  counts: ReadonlyMap<string, number>
  step: number
  loss: number
  tokensPerSecond: number
  isYielding: boolean
}>

/** While the database cannot be asked, what is in it is not told; all other metrics are. */
export function registerTraining(registry: Registry, readAll: () => Promise<TrainingNumbers>): void {
  const registers = [registry]
  const read = () => readAll().catch(() => undefined)
  new Gauge({
    name: 'simpleia_training_runs',
    help: 'Training runs by state.',
    labelNames: ['state'],
    registers,
    async collect() {
      this.reset()
      for (const [state, count] of (await read())?.counts ?? []) this.set({ state }, count)
    },
  })
  const gauges: ReadonlyArray<readonly [string, string, (numbers: TrainingNumbers) => number]> = [
    ['simpleia_training_step', 'Steps that the running training run has done.', ({ step }) => step],
    ['simpleia_training_loss', 'Loss of the last step of the running training run.', ({ loss }) => loss],
    ['simpleia_training_tokens_per_second', 'Speed of the running training run.', (numbers) => numbers.tokensPerSecond],
    ['simpleia_training_yielding', '1 while training stands still for requests.', ({ isYielding }) => Number(isYielding)],
  ]
  for (const [name, help, pick] of gauges) {
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        const numbers = await read()
        if (numbers === undefined) this.remove()
        else this.set(pick(numbers))
      },
    })
  }
}
