import { randomUUIDv7 } from 'node:crypto'
import { type Accounting, type AccountingParts, openAccounting } from './accounting.ts'
import type { Closer } from './closer.ts'
import type { Selection } from './config/selection.ts'
import type { Config } from './config.ts'
import type { Clock } from './engine/cloud/clock.ts'
import { costOf, type Egress } from './engine/cloud/egress.ts'
import type { ModelHost } from './engine/provider.ts'
import { createProviders, type Elsewhere, type Providers, type Selected } from './engine/providers.ts'
import type { Lifecycle } from './http/lifecycle.ts'
import type { Metrics } from './metrics/metrics.ts'
import { tracePredict } from './observe/observe-predict.ts'
import { traceProvider } from './observe/observe-provider.ts'
import type { Tracing } from './observe/tracing.ts'
import type { Outside } from './outside.ts'
import type { AnswerCache } from './predict/cache.ts'
import { createPredict, type Predict, type Recorder } from './predict/predict.ts'
import type { RolloutStore } from './rollout/rollouts.ts'
import { openRollouts } from './rollout-part.ts'

export type AnswersParts = Pick<AccountingParts, 'db' | 'log' | 'askerOf' | 'now'> &
  Readonly<{
    host: ModelHost
    /** Reads what answers besides the host. Throws `invalid`. */
    readElsewhere?: (egress: Egress) => Promise<Elsewhere>
    /** What answers who names nothing; default: the host. */
    selected?: Selected
    /** Writes the choice of who answers. */
    saveSelection: (selection: Selection) => Promise<void>
    outside: Outside
    cache: AnswerCache
    lifecycle: Lifecycle
    metrics: Metrics
    tracing: Tracing
    recorder: Recorder
    clock: Pick<Clock, 'now'>
    /** As of `openSettledTime`. */
    settledNow: () => number
  }>

export type Answers = Readonly<{
  predict: Predict
  providers: Providers
  accounting: Accounting
  rollouts: RolloutStore
  /** Reads again what answers besides the host, and gives what puts it in place, with this selection. Throws `invalid`. */
  prepareProviders: (selected: Selected) => Promise<() => Promise<void>>
}>

/** Who can answer, what that costs whom, and the one way to an answer. */
export async function openAnswers(config: Config, parts: AnswersParts, closer: Closer): Promise<Answers> {
  const { host, selected, outside, cache, lifecycle, metrics, tracing, recorder, clock } = parts
  const read = async () => traceElsewhere((await parts.readElsewhere?.(outside.egress)) ?? nothing, tracing)
  const providers = closer.use(createProviders(host, await read(), selected))
  const accounting = openAccounting(config, {
    ...parts,
    localProvider: host.name,
    ceilings: providers.ceilings,
    costOf({ model }, usage) {
      const price = outside.prices.priceOf(model)
      return price === undefined ? undefined : costOf(price, usage)
    },
  })
  const { meter } = accounting
  const rollouts = closer.use(openRollouts(config, { ...parts, providers }))
  if (selected !== undefined) await rollouts.selectedAtStart(selected)
  const predict = createPredict({
    providers,
    rollouts,
    cache,
    admission: lifecycle,
    meter,
    metrics,
    recorder,
    // By time: where predictions are kept, neighbours stand on one page.
    createId: () => randomUUIDv7(),
    now: clock.now,
  })
  return {
    predict: tracePredict(predict, tracing),
    providers,
    accounting,
    rollouts,
    prepareProviders: async (next) => providers.prepare(await read(), next),
  }
}

const traceElsewhere = (elsewhere: Elsewhere, tracing: Tracing): Elsewhere => ({
  ...elsewhere,
  providers: elsewhere.providers.map((provider) => traceProvider(provider, tracing)),
})

const nothing: Elsewhere = { providers: [], routes: new Map() }
