import { randomUUID } from 'node:crypto'
import type { Closer } from './closer.ts'
import type { ModelHost } from './engine/provider.ts'
import { createProviders, type Elsewhere, type Providers, type Selected } from './engine/providers.ts'
import type { Lifecycle } from './http/lifecycle.ts'
import type { Metrics } from './metrics/metrics.ts'
import type { AnswerCache } from './predict/cache.ts'
import { createPredict, type Meter, type Predict } from './predict/predict.ts'

export type AnswersParts = Readonly<{
  host: ModelHost
  /** Reads what answers besides the host. Throws `invalid`. */
  readElsewhere?: () => Promise<Elsewhere>
  /** What answers who names nothing; default: the host. */
  selected?: Selected
  cache: AnswerCache
  lifecycle: Lifecycle
  meter: Meter
  metrics: Metrics
  now: () => number
}>

export type Answers = Readonly<{ predict: Predict; providers: Providers; reloadProviders: () => Promise<void> }>

/** Who can answer, and the one way to an answer. */
export async function openAnswers(parts: AnswersParts, closer: Closer): Promise<Answers> {
  const { host, selected, readElsewhere = async () => nothing, cache, lifecycle, meter, metrics, now } = parts
  const providers = closer.use(createProviders(host, await readElsewhere(), selected))
  const predict = createPredict({ providers, cache, admission: lifecycle, meter, metrics, createId: randomUUID, now })
  return { predict, providers, reloadProviders: async () => providers.replace(await readElsewhere()) }
}

const nothing: Elsewhere = { providers: [], routes: new Map() }
