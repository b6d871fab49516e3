import type { IngestMessage } from '../../src/client.ts'
import { AppError } from '../../src/errors.ts'
import type { IngestBody } from '../../src/rag/document-schema.ts'

/** What can be added: a file of this machine, a text that was typed, or a page of the web. */
export type UploadSource =
  | Readonly<{
      kind: 'file'
      file: File
      /** The path inside of a folder that was dropped, which tells files of one name apart. */
      path: string
    }>
  | Readonly<{ kind: 'text'; name: string; text: string }>
  | Readonly<{ kind: 'page'; url: string }>

export type Upload = Readonly<{
  id: number
  name: string
  collection: string
  state: 'waiting' | 'running' | 'done' | 'failed' | 'cancelled'
  stage: 'send' | 'extract' | 'split' | 'embed'
  done: number
  total: number
  /** What became of it. */
  result: Added | undefined
  error: unknown
}>

export type Added = Readonly<{
  id: string
  name: string
  status: 'added' | 'replaced' | 'unchanged' | 'duplicate'
  passages: number
  pagesWithoutText: number
}>

export type UploadQueueParts = Readonly<{
  send: (body: FormData | IngestBody, signal: AbortSignal) => AsyncIterable<IngestMessage>
  /** Hears of the whole queue with each change. */
  onChange: (uploads: readonly Upload[]) => void
  onAdded: (upload: Upload) => void
}>

export type UploadQueue = ReturnType<typeof createUploadQueue>

type Job = Readonly<{ source: UploadSource; stop: AbortController }>

/** Uploads one after the other: the vectors are what takes the time, and the service makes them in one place anyway. */
export function createUploadQueue({ send, onChange, onAdded }: UploadQueueParts) {
  let uploads: readonly Upload[] = []
  const jobs = new Map<number, Job>()
  let lastId = 0
  let isRunning = false

  function set(next: readonly Upload[]): void {
    uploads = next
    onChange(uploads)
  }

  const change = (id: number, changes: Partial<Upload>) =>
    set(uploads.map((upload) => (upload.id === id ? { ...upload, ...changes } : upload)))

  async function run(): Promise<void> {
    if (isRunning) return
    isRunning = true
    for (;;) {
      const next = uploads.find(({ state }) => state === 'waiting')
      const job = next === undefined ? undefined : jobs.get(next.id)
      if (next === undefined || job === undefined) break
      await upload(next, job)
    }
    isRunning = false
  }

  async function upload({ id, collection }: Upload, { source, stop }: Job): Promise<void> {
    change(id, { state: 'running', stage: 'send', done: 0, total: 0, error: undefined })
    try {
      for await (const message of send(toBody(source, collection), stop.signal)) {
        if (message.type === 'progress') {
          const { stage, done = 0, total = 0 } = message
          change(id, { stage, done, total })
        } else if (message.status === 'failed') {
          const { code, message: text } = message.error
          throw new AppError(code, text)
        } else change(id, { state: 'done', result: toAdded(message) })
      }
      const ended = uploads.find((one) => one.id === id)
      if (ended?.state === 'running') throw new AppError('unavailable', 'The upload ended without an answer.')
      if (ended?.state === 'done') {
        jobs.delete(id)
        onAdded(ended)
      }
    } catch (error) {
      change(id, stop.signal.aborted ? { state: 'cancelled' } : { state: 'failed', error })
    }
  }

  return {
    /** Gives their ids. */
    add(collection: string, sources: readonly UploadSource[]): readonly number[] {
      const added = sources.map((source): Upload => {
        lastId += 1
        jobs.set(lastId, { source, stop: new AbortController() })
        const fresh = { state: 'waiting', stage: 'send', done: 0, total: 0, result: undefined, error: undefined } as const
        return { id: lastId, name: nameOf(source), collection, ...fresh }
      })
      set([...uploads, ...added])
      void run()
      return added.map(({ id }) => id)
    },
    /** What was taken in by then is not: a document comes whole or not at all. */
    cancel(id: number): void {
      jobs.get(id)?.stop.abort()
      if (uploads.find((upload) => upload.id === id)?.state === 'waiting') change(id, { state: 'cancelled' })
    },
    retry(id: number): void {
      const job = jobs.get(id)
      if (job === undefined) return
      jobs.set(id, { source: job.source, stop: new AbortController() })
      change(id, { state: 'waiting', stage: 'send', error: undefined })
      void run()
    },
    /** Takes those that have ended off the list. */
    forget(...ids: readonly number[]): void {
      const isGone = ({ id, state }: Upload) => ids.includes(id) && isOver(state)
      for (const gone of uploads.filter(isGone)) jobs.delete(gone.id)
      set(uploads.filter((upload) => !isGone(upload)))
    },
  }
}

export const isOver = (state: Upload['state']): boolean => state !== 'waiting' && state !== 'running'

/** How much of it is done, from 0 to 1; undefined while that cannot be told. */
export function shareDone({ state, stage, done, total }: Upload): number | undefined {
  if (state !== 'running') return state === 'done' ? 1 : 0
  return stage === 'embed' && total > 0 ? done / total : undefined
}

function nameOf(source: UploadSource): string {
  if (source.kind === 'file') return source.path
  return source.kind === 'text' ? source.name : source.url
}

function toBody(source: UploadSource, collection: string): FormData | IngestBody {
  if (source.kind === 'text') return { name: source.name, text: source.text, collection }
  if (source.kind === 'page') return { url: source.url, collection }
  const form = new FormData()
  form.append('collection', collection)
  form.append('source', source.path)
  form.append('file', source.file, source.file.name)
  return form
}

type Ingested = Exclude<Extract<IngestMessage, { type: 'document' }>, { status: 'failed' }>

function toAdded({ id, name, status, passages, pages_without_text = 0 }: Ingested): Added {
  return { id, name, status, passages, pagesWithoutText: pages_without_text }
}
