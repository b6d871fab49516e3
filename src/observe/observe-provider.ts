import type { GenerateEvent, GenerateRequest, ModelHost, Provider, Timings } from '../engine/provider.ts'
import { inputAttributes, operationOf, outputAttributes, reasonName, requestAttributes, usageAttributes } from './gen-ai.ts'
import { tracedEvents } from './traced.ts'
import type { Span, Tracing } from './tracing.ts'

/** The same models of this machine, whose answers are followed. */
export function traceHost(host: ModelHost, tracing: Tracing): ModelHost {
  if (!tracing.isOn) return host
  return {
    ...host,
    // Read each time: what a host says of itself may change.
    get name() {
      return host.name
    },
    get ranOn() {
      return host.ranOn
    },
    generate: followAnswers(host, tracing),
  }
}

/** The same provider, whose answers are followed. */
export function traceProvider(provider: Provider, tracing: Tracing): Provider {
  return tracing.isOn ? { ...provider, generate: followAnswers(provider, tracing) } : provider
}

function followAnswers(provider: Provider, tracing: Tracing): Provider['generate'] {
  return (request, signal, onSent) => {
    const { prompt, model } = request
    const span = tracing.start(`${operationOf(prompt)} ${model}`, {
      // The models of this machine answer in processes of their own.
      kind: 'client',
      attributes: {
        ...requestAttributes(provider.name, request),
        ...(tracing.capturesContent ? inputAttributes(prompt) : {}),
      },
    })
    const make = () => provider.generate(request, signal, onSent)
    return tracedEvents(span, { make, saw: createFollower(span, request, tracing), last: 'generation-end' })
  }
}

type Choice = { text: string; reason: string | undefined }

/** Tells the span what comes. */
function createFollower(span: Span, { model, choices }: GenerateRequest, tracing: Tracing): (event: GenerateEvent) => void {
  const startMs = performance.now()
  const written: Choice[] = Array.from({ length: choices }, () => ({ text: '', reason: undefined }))
  let hasBegun = false
  return (event) => {
    if (!hasBegun) span.set({ 'gen_ai.response.time_to_first_chunk': (performance.now() - startMs) / 1000 })
    hasBegun = true
    const choice = 'index' in event ? written[event.index] : undefined
    switch (event.type) {
      case 'text-delta':
        if (tracing.capturesContent && choice !== undefined) choice.text += event.text
        break
      case 'tool-call-start':
        span.event('gen_ai.tool.call', { 'gen_ai.tool.name': event.name, 'gen_ai.tool.call.id': event.id })
        break
      case 'choice-end':
        if (choice !== undefined) choice.reason = event.reason
        break
      case 'generation-end':
        span.set({
          'gen_ai.response.model': model,
          'gen_ai.response.finish_reasons': written.flatMap(({ reason }) => (reason === undefined ? [] : [reasonName(reason)])),
          ...usageAttributes(event.usage),
          ...(tracing.capturesContent ? outputAttributes(written) : {}),
        })
        tellParts(span, event.timings)
        break
    }
  }
}

/** Where the time went, as the one who answered has measured it. */
function tellParts(span: Span, { firstTokenMs, promptMs, generationMs }: Timings): void {
  const endMs = Date.now()
  const firstMs = endMs - generationMs
  const promptAt = firstMs - promptMs
  const queuedMs = Math.max(0, firstTokenMs - promptMs)
  span.part('queue', { startMs: promptAt - queuedMs, endMs: promptAt })
  span.part('prompt', { startMs: promptAt, endMs: firstMs })
  span.part('generation', { startMs: firstMs, endMs })
}
