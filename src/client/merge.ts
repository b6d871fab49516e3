import type { MergeAnswer, MergeBody } from '../models/merge-schema.ts'
import { readEventStream } from '../read-event-stream.ts'
import { bodyOf, brokenOff, fromErrorBody, type Transport } from './transport.ts'

/** `merge`: the adapter is added; `tensor`: the result is quantized. */
export type MergeEvent =
  | Readonly<{ type: 'merge' | 'tensor'; tensor: number; tensors: number }>
  | (Readonly<{ type: 'done' }> & MergeAnswer)

export function mergeClient({ call }: Pick<Transport, 'call'>) {
  return {
    async *mergeModel(body: MergeBody, signal?: AbortSignal): AsyncGenerator<MergeEvent> {
      yield* readMerge(bodyOf(await call('POST', '/models/merge', { ...body, stream: true }, signal), signal))
    },
  }
}

async function* readMerge(body: AsyncIterable<Uint8Array>): AsyncGenerator<MergeEvent> {
  for await (const { event, data } of readEventStream(body)) {
    if (event === 'error') throw fromErrorBody(data, 'The merge broke off.')
    // As in client.ts: our own service sends what its schemas say.
    yield { type: event, ...JSON.parse(data) } as MergeEvent
    if (event === 'done') return
  }
  throw brokenOff()
}
