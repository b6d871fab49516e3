import type { DatasetAnswer, DatasetBody, DatasetItem, DatasetPreviewAnswer, RowItem } from '../datasets/schema.ts'
import { bodyOf, query, type Transport } from './transport.ts'

type Page<T> = Readonly<{ items: readonly T[]; next_cursor: string | null }>

/** Calls about datasets. A reference is an id, a name (its last version) or `NAME:VERSION`. */
export function datasetCalls({ call, json, done }: Transport) {
  const pathOf = (reference: string) => `/datasets/${encodeURIComponent(reference)}`
  return {
    /** Newest first. */
    listDatasets: (cursor?: string) => json<Page<DatasetItem>>('GET', `/datasets${query({ cursor, limit: '200' })}`),
    dataset: (reference: string) => json<DatasetAnswer>('GET', pathOf(reference)),
    /** A form has the file as `file`. */
    addDataset: (body: FormData | DatasetBody, signal?: AbortSignal) => json<DatasetAnswer>('POST', '/datasets', body, signal),
    /** What `addDataset` would make; nothing is stored. A form says `preview` itself. */
    previewDataset: (body: FormData | DatasetBody, signal?: AbortSignal) =>
      json<DatasetPreviewAnswer>('POST', '/datasets', body instanceof FormData ? body : { ...body, preview: true }, signal),
    datasetRows: (reference: string, filter: Readonly<{ split?: string; flag?: string; limit?: string }> = {}, cursor?: string) =>
      json<Page<RowItem>>('GET', `${pathOf(reference)}/rows${query({ ...filter, cursor })}`),
    /** JSON lines, as they arrive. */
    async *exportDataset(reference: string, split?: string): AsyncGenerator<Uint8Array> {
      yield* bodyOf(await call('GET', `${pathOf(reference)}/export${query({ split })}`))
    },
    removeDataset: (reference: string) => done('DELETE', pathOf(reference)),
  }
}
