import { AppError } from '../../errors.ts'
import { createUsageEstimate } from '../estimate-usage.ts'
import { createRequestQueue } from '../local/request-queue.ts'
import type { GenerateEvent, GenerateRequest, Provider, Usage } from '../provider.ts'
import { createAddresses } from './addresses.ts'
import { type CloudModel, type CloudOptions, ranOnOf, readBaseUrls } from './cloud-options.ts'
import { runErrand } from './errand.ts'
import { createAnswerMeter } from './meter.ts'
import { openServerProbe } from './probe.ts'
import { refuseAddresses } from './refuse-addresses.ts'
import type { Wire, WireEvent } from './wire.ts'

/** A provider whose answers come from servers elsewhere. */
export type CloudProvider = Provider & Readonly<{ models: readonly CloudModel[] }>

/** Speaks to servers through a wire, and nowhere but through `egress`. Throws `invalid` for an address that is none. */
export function createCloudProvider(options: CloudOptions, wire: Wire): CloudProvider {
  const { name, models, clock } = options
  const baseUrls = readBaseUrls(name, options.baseUrls)
  const queue = createRequestQueue({ capacity: options.maxParallel, maxWaiting: options.maxQueue })
  const openProbe = (baseUrl: string) => openServerProbe(options, `${baseUrl}${wire.modelsPath}`)
  const addresses = createAddresses({ provider: name, baseUrls, openProbe, clock })
  const parts = { options, addresses, queue }
  const modelOf = (model: string): CloudModel => models.find((known) => known.name === model) ?? { name: model }

  async function* generate(request: GenerateRequest, signal: AbortSignal, onSent?: () => void): AsyncGenerator<GenerateEvent> {
    refuseAddresses(name, baseUrls, request.prompt)
    const meter = createAnswerMeter(clock.now)
    const estimate = createUsageEstimate(request.prompt)
    const prepared = wire.prepareAnswer(request, modelOf(request.model))
    const onSend = () => {
      meter.sent()
      onSent?.()
    }
    const errand = runErrand(parts, { purpose: 'answer', prepared, request, onSend, usageOf }, signal)
    for await (const event of errand) {
      meter.saw(event)
      if (event.type === 'usage') {
        const usage = event.usage ?? estimate.usage()
        yield { type: 'generation-end', usage, timings: meter.timings(usage) }
      } else {
        estimate.saw(event)
        yield event
      }
    }
  }

  return {
    name,
    ranOn: ranOnOf(baseUrls),
    models,
    async choose(asked) {
      const model = chooseModel(options, asked)
      return { name: model, identity: JSON.stringify([name, baseUrls, model]) }
    },
    generate,
    async countTokens(request, signal) {
      refuseAddresses(name, baseUrls, request.prompt)
      const prepared = wire.prepareCount(request, modelOf(request.model))
      // To count costs nothing.
      const errand = runErrand(parts, { purpose: 'token-count', prepared, request, usageOf: () => nothingUsed }, signal)
      for await (const tokens of errand) return tokens
      throw new AppError('upstream', `The provider "${name}" gave no count of the tokens.`)
    },
    close: () => addresses.close(),
  }
}

const nothingUsed: Usage = { promptTokens: 0, completionTokens: 0, cachedPromptTokens: 0 }

function usageOf(event: WireEvent): Usage | undefined {
  return event.type === 'usage' ? event.usage : undefined
}

function chooseModel({ name, models }: CloudOptions, asked: string | undefined): string {
  const model = asked ?? models[0]?.name
  if (model === undefined)
    throw new AppError(
      'unavailable',
      `No model is selected at the provider "${name}". Name one in the request, or in the settings.`,
    )
  const isName = model.trim() !== '' && model.length <= 200 && model.isWellFormed() && !/\p{Cc}/u.test(model)
  if (!isName)
    throw new AppError('invalid', 'The name of a model must have 1 to 200 whole characters, and none that control a screen.')
  if (models.length === 0 || models.some((known) => known.name === model)) return model
  const known = models.slice(0, 20).map((one) => `"${one.name}"`)
  throw new AppError('not_found', `The provider "${name}" has no model "${model}". It has ${known.join(', ')}.`)
}
