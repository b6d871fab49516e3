import type { MakingStage } from '../models/making-jobs.ts'
import type { QuantizeReport } from '../models/quantize-report.ts'
import type { QuantizeAnswer, QuantizeBody } from '../models/quantize-schema.ts'
import type { ModelsAnswer } from '../models/schema.ts'
import { readEventStream } from '../read-event-stream.ts'
import { bodyOf, brokenOff, fromErrorBody, type Transport } from './transport.ts'

export type ModelAnswer = Readonly<{
  model_name: string | null
  provider: string
  ran_on: 'local' | 'cloud'
  loaded: boolean
  state: string
  reason?: string
  /** Models that share the requests which name none, by percent of the conversations. */
  rollout?: Readonly<{ id: string; arms: ReadonlyArray<Readonly<{ model: string; share: number }>> }>
}>
/** A model, or the usual one of a provider. */
export type SelectBody = Readonly<{ model_name?: string; provider?: string }>
export type ProviderList = Readonly<{
  providers: ReadonlyArray<Readonly<{ name: string; ran_on: 'local' | 'cloud'; selected: boolean; models: readonly string[] }>>
  routes: readonly string[]
}>
/** An installed model. What its file does not tell is left out. */
export type ServedModel = Readonly<ModelsAnswer['models'][number]>
export type ModelMemory = Readonly<ModelsAnswer['memory']>
export type ModelList = Readonly<ModelsAnswer>

export type PullProgress = Readonly<{
  received_bytes: number
  total_bytes: number
  bytes_per_second: number
  seconds_left: number | null
}>
/** What a pull tells on its way, as the service sends it. */
export type PullMessage =
  | (Readonly<{ id: string }> &
      (
        | Readonly<{ type: 'download-start'; file: string; total_bytes: number }>
        | (Readonly<{ type: 'download-progress' }> & PullProgress)
        | Readonly<{ type: 'download-retry'; reason: string }>
        | Readonly<{ type: 'convert-progress'; done: number; total: number }>
        | Readonly<{ type: 'download-wait' }>
        | Readonly<{ type: 'file-check'; file: string }>
        | Readonly<{ type: 'checkpoint-ready'; repository: string }>
      ))
  | Readonly<{ type: 'done'; name: string }>
export type PullStage = Readonly<{ type: string; file?: string; reason?: string; done?: number; total?: number }>
export type RunningPull = Readonly<{ id: string; name: string; progress: PullProgress | null; stage: PullStage | null }>
export type EndedPull = Readonly<{
  id: string
  name: string
  outcome: 'completed' | 'failed' | 'cancelled' | 'interrupted'
  ended_at: string
  model: string | null
  error: Readonly<{ code: string; message: string }> | null
}>
export type PullList = Readonly<{ pulls: readonly RunningPull[]; ended: readonly EndedPull[] }>

/** A quantization or merge, of whichever process. */
export type Making = Readonly<{
  id: string
  kind: 'quantization' | 'merge'
  model: string
  quantization: string | null
  state: 'running' | 'completed' | 'failed' | 'cancelled' | 'interrupted'
  progress: Readonly<{ stage: MakingStage; done: number; total: number }> | null
  made: string | null
  error: Readonly<{ code: string; message: string }> | null
  created_at: string
  ended_at: string | null
}>

export type QuantizeEvent =
  | Readonly<{ type: 'calibrate' | 'measure'; chunk: number; chunks: number }>
  | Readonly<{ type: 'tensor'; tensor: number; tensors: number }>
  | (Readonly<{ type: 'done' }> & QuantizeAnswer)

/** The models: which there are, which answer, and what makes new ones. */
export function modelClient({ call, json, done }: Transport) {
  return {
    model: () => json<ModelAnswer>('GET', '/model'),
    models: (signal?: AbortSignal) => json<ModelList>('GET', '/models', undefined, signal),
    changeLoaded: (name: string, change: 'load' | 'unload') =>
      json<ModelList>('POST', `/models/${encodeURIComponent(name)}/${change}`),
    providers: () => json<ProviderList>('GET', '/providers'),
    select: (body: SelectBody, signal?: AbortSignal) => json<ModelAnswer>('POST', '/model', body, signal),
    async *quantizeModel(body: QuantizeBody, signal?: AbortSignal): AsyncGenerator<QuantizeEvent> {
      yield* readQuantization(bodyOf(await call('POST', '/models/quantize', { ...body, stream: true }, signal), signal))
    },
    modelReport: (name: string) => json<QuantizeReport>('GET', `/models/${encodeURIComponent(name)}/report`),
    async *pull(name: string, signal?: AbortSignal): AsyncGenerator<PullMessage> {
      yield* readPull(bodyOf(await call('POST', '/models/pull', { name }, signal), signal))
    },
    /** Those that run now, whoever began them, and how the last ones ended. */
    pulls: (signal?: AbortSignal) => json<PullList>('GET', '/models/pulls', undefined, signal),
    /** Stops a pull for all who watch it; what arrived is kept. */
    cancelPull: (id: string) => done('DELETE', `/models/pulls/${encodeURIComponent(id)}`),
    /** Quantizations and merges that run, whoever began them, and how the last ones ended. */
    makings: (signal?: AbortSignal) => json<Readonly<{ items: readonly Making[] }>>('GET', '/models/jobs', undefined, signal),
    /** Stops one for whoever began it. */
    stopMaking: (id: string) => done('DELETE', `/models/jobs/${encodeURIComponent(id)}`),
    removeModel: (name: string) => json<Readonly<{ name: string }>>('DELETE', `/models/${encodeURIComponent(name)}`),
  }
}

async function* readQuantization(body: AsyncIterable<Uint8Array>): AsyncGenerator<QuantizeEvent> {
  for await (const { event, data } of readEventStream(body)) {
    if (event === 'error') throw fromErrorBody(data, 'The quantization broke off.')
    // As in client.ts: our own service sends what its schemas say.
    yield { type: event, ...JSON.parse(data) } as QuantizeEvent
    if (event === 'done') return
  }
  throw brokenOff()
}

async function* readPull(body: AsyncIterable<Uint8Array>): AsyncGenerator<PullMessage> {
  for await (const { event, data } of readEventStream(body)) {
    if (event === 'error') throw fromErrorBody(data, 'The pull broke off.')
    if (event === 'progress') yield JSON.parse(data) as PullMessage
    if (event !== 'done') continue
    yield { type: 'done', ...(JSON.parse(data) as { name: string }) }
    return
  }
  throw brokenOff()
}
