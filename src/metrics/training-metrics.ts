import { Gauge, type Registry } from 'prom-client'

/** What is told of training; the numbers of the run that runs are 0 where none does. */
export type TrainingNumbers = Readonly<{
  counts: ReadonlyMap<string, number>
  step: number
  loss: number
  tokensPerSecond: number
  isYielding: boolean
}>

/** Without a database nothing is told of training, and all else is told as ever: that is when somebody looks. */
export function registerTraining(registry: Registry, read: () => Promise<TrainingNumbers>): void {
  const registers = [registry]
  const numbers = sharedReading(read)
  new Gauge({
    name: 'simpleia_training_runs',
    help: 'Training runs by state.',
    labelNames: ['state'],
    registers,
    async collect() {
      const told = await numbers()
      this.reset()
      for (const [state, count] of told?.counts ?? []) this.set({ state }, count)
    },
  })
  const gauges: ReadonlyArray<readonly [string, string, (numbers: TrainingNumbers) => number]> = [
    ['simpleia_training_step', 'Steps that the running training run has done.', ({ step }) => step],
    ['simpleia_training_loss', 'Loss of the last step of the running training run.', ({ loss }) => loss],
    ['simpleia_training_tokens_per_second', 'Speed of the running training run.', (told) => told.tokensPerSecond],
    ['simpleia_training_yielding', '1 while training stands still for requests.', ({ isYielding }) => Number(isYielding)],
  ]
  for (const [name, help, pick] of gauges) {
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        const told = await numbers()
        if (told === undefined) this.remove()
        else this.set(pick(told))
      },
    })
  }
}

/** A database that hangs keeps nobody from the other numbers for longer. */
const patienceMs = 2000

/** Asks once for all who ask at the same time. Undefined where it cannot be read, or not soon. */
function sharedReading<T>(read: () => Promise<T>): () => Promise<T | undefined> {
  let reading: Promise<T | undefined> | undefined
  return async () => {
    reading ??= read()
      .catch(() => undefined)
      .finally(() => {
        reading = undefined
      })
    const late = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => late.resolve(undefined), patienceMs)
    return Promise.race([reading, late.promise]).finally(() => clearTimeout(timer))
  }
}
