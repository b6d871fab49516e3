import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

type Described = Readonly<{ name: string; help: string }>

/** For what is counted elsewhere and only grows. */
export function readCounter(registry: Registry, { name, help }: Described, read: () => number): void {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset()
      this.inc(read())
    },
  })
}

/** For a value that is looked up when somebody reads the metrics; one that is not known is left out. */
export function readGauge(registry: Registry, { name, help }: Described, read: () => number | undefined): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      const value = read()
      if (value === undefined) this.remove()
      else this.set(value)
    },
  })
}

/** A value for each of some labels, all looked up when somebody reads the metrics. */
export type Labelled = readonly (readonly [label: string, value: number])[]

type LabelledOptions = Described & Readonly<{ label: string }>

export function readGauges(
  registry: Registry,
  { name, help, label }: LabelledOptions,
  read: () => Labelled | Promise<Labelled>,
): void {
  new Gauge({
    name,
    help,
    labelNames: [label],
    registers: [registry],
    async collect() {
      const values = await read()
      this.reset()
      for (const [key, value] of values) this.set({ [label]: key }, value)
    },
  })
}

export function readCounters(registry: Registry, { name, help, label }: LabelledOptions, read: () => Labelled): void {
  new Counter({
    name,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      this.reset()
      for (const [key, value] of read()) this.inc({ [label]: key }, value)
    },
  })
}

/** What was counted elsewhere in buckets. */
export type CountedBuckets = Readonly<{
  label: string
  /** One for each bound, and one for what is beyond; not added up. */
  counts: readonly number[]
  sum: number
}>

type CountedOptions = LabelledOptions & Readonly<{ bounds: readonly number[] }>

/** A histogram of what was counted elsewhere. */
export class CountedHistogram extends Histogram {
  readonly #options: CountedOptions
  readonly #read: () => readonly CountedBuckets[]

  constructor(registry: Registry, options: CountedOptions, read: () => readonly CountedBuckets[]) {
    const { name, help, label, bounds } = options
    super({ name, help, labelNames: [label], buckets: [...bounds], registers: [registry] })
    this.#options = options
    this.#read = read
  }

  /** What the registry asks for its text, and `get` for its values. */
  async getForPromString() {
    const { name, help, label, bounds } = this.#options
    const values = this.#read().flatMap((counted) => {
      const labels = { [label]: counted.label }
      let below = 0
      const buckets = [...bounds, '+Inf'].map((bound, index) => {
        below += counted.counts[index] ?? 0
        return { metricName: `${name}_bucket`, labels: { le: bound, ...labels }, value: below }
      })
      const [sum, count] = [`${name}_sum`, `${name}_count`]
      return [...buckets, { metricName: sum, labels, value: counted.sum }, { metricName: count, labels, value: below }]
    })
    return { name, help, type: 'histogram', values }
  }
}
