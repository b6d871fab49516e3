import type { IngestMessage } from '../../../src/client.ts'
import { noteDone } from '../../first-run/tour.svelte.ts'
import { service } from '../../shell/service.ts'

export type Upload = Readonly<{
  file: File
  state: 'waiting' | 'extract' | 'split' | 'embed' | 'added' | 'unchanged' | 'failed'
  /** From 0 to 1, where it is known. */
  share?: number | undefined
  passages?: number
  /** What went wrong: an error, or what the service says of this file. */
  failure?: unknown
  says?: string
}>

/** Files on their way into a collection, one after the other. */
export function createUploads(files: readonly File[]) {
  let uploads = $state.raw<readonly Upload[]>(files.map((file) => ({ file, state: 'waiting' })))
  const change = (file: File, changed: Omit<Upload, 'file'>) => {
    uploads = uploads.map((upload) => (upload.file === file ? { file, ...changed } : upload))
  }

  async function send(file: File, collection: string, signal: AbortSignal): Promise<void> {
    change(file, { state: 'extract' })
    const form = new FormData()
    form.append('collection', collection)
    form.append('file', file)
    try {
      for await (const message of service.addDocument(form, signal)) {
        const next = toState(message)
        change(file, next)
        if (next.state === 'added') noteDone('document-added')
      }
    } catch (failure) {
      change(file, { state: 'failed', failure })
    }
  }

  return {
    get list() {
      return uploads
    },
    /** Whether all that were sent have come in. */
    get isDone() {
      return uploads.every(({ state }) => state === 'added' || state === 'unchanged')
    },
    get hasAny() {
      return uploads.some(({ state }) => state === 'added' || state === 'unchanged')
    },
    /** Sends what is not there yet. */
    async start(collection: string, signal: AbortSignal): Promise<void> {
      const left = uploads.filter(({ state }) => state === 'waiting' || state === 'failed')
      for (const { file } of left) change(file, { state: 'waiting' })
      for (const { file } of left) if (!signal.aborted) await send(file, collection, signal)
    },
  }
}

function toState(message: IngestMessage): Omit<Upload, 'file'> {
  if (message.type === 'progress') {
    const { stage, done, total } = message
    return { state: stage, share: done === undefined || !total ? undefined : done / total }
  }
  if (message.status === 'failed') return { state: 'failed', says: message.error.message }
  const isNew = message.status === 'added' || message.status === 'replaced'
  return { state: isNew ? 'added' : 'unchanged', passages: message.passages }
}
