import { sep } from 'node:path'
import type { ListedDocument } from '../client.ts'
import { listDocumentFiles, sha256Of } from './docs-files.ts'

export type SyncPlan = Readonly<{
  /** Files that have changed, then new ones, to be sent in this order. */
  send: readonly string[]
  unchanged: readonly string[]
  /** Documents whose files have vanished. */
  remove: readonly ListedDocument[]
}>

/**
 * What brings the documents of a collection in step with a folder, whose absolute path begins their sources. A file with the same bytes as
 * another one is sent too: the service knows it as a duplicate, and when the other goes, it takes its place.
 * So the documents that vanish are to be removed first, and the changed files go before the new ones: a new file would otherwise count as
 * a duplicate of what is about to be replaced, and its text would be nowhere.
 */
export async function planSync(folder: string, documents: readonly ListedDocument[]): Promise<SyncPlan> {
  const inFolder = new Map(
    documents.filter(({ source }) => source.startsWith(folder + sep)).map((document) => [document.source, document]),
  )
  const changed: string[] = []
  const added: string[] = []
  const unchanged: string[] = []
  for await (const path of listDocumentFiles(folder)) {
    const known = inFolder.get(path)
    if (known === undefined) added.push(path)
    // One that cannot be read, or has gone meanwhile, is told when it is sent.
    else if (known.sha256 === (await sha256Of(path).catch(() => undefined))) unchanged.push(path)
    else changed.push(path)
    inFolder.delete(path)
  }
  return { send: [...changed, ...added], unchanged, remove: [...inFolder.values()] }
}

export type WatchParts = Readonly<{
  /** One for each change in the folder; ends with the signal. */
  changes: AsyncIterable<unknown>
  /** Waits until the changes that come together are over. */
  settle: () => Promise<unknown>
  sync: () => Promise<unknown>
  signal: AbortSignal
}>

/**
 * Brings both in step again after changes, once for those that come together, until the signal; and once at the beginning, for what
 * changed before anybody watched.
 */
export async function keepInStep({ changes, settle, sync, signal }: WatchParts): Promise<void> {
  let changed = Promise.withResolvers<void>()
  changed.resolve()
  const watching = (async () => {
    for await (const _change of changes) changed.resolve()
  })().catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
  const stopped = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => stopped.resolve(), { once: true })
  const over = Promise.race([stopped.promise, watching])
  while (!signal.aborted) {
    const isOver = await Promise.race([changed.promise.then(() => false), over.then(() => true)])
    if (isOver) break
    await settle()
    changed = Promise.withResolvers()
    if (!signal.aborted) await sync()
  }
  await watching
}
