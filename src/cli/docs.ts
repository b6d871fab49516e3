import { watch } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Client, IngestMessage, ListedDocument } from '../client.ts'
import { AppError } from '../errors.ts'
import { type Context, describeFailure, printable, withService, writeLine } from './context.ts'
import { kindOf, listDocumentFiles, readWhole } from './docs-files.ts'
import { type SayOfDocs, speakOfDocs } from './docs-messages.ts'
import { keepInStep, planSync } from './docs-sync.ts'
import { formatBytes } from './format.ts'
import { waitForStop } from './stop-signals.ts'

/** How long a folder must be quiet before its changes are looked at. */
const settleMs = 500

type Counts = { done: number; unchanged: number; duplicate: number; removed: number; failed: number }
type Work = Readonly<{
  context: Context
  client: Client
  say: SayOfDocs
  collection: string | undefined
  chunkTokens: number | undefined
}>

/** `docs add PATH|URL…` */
export async function addDocuments(context: Context): Promise<number> {
  return withDocuments(context, async (work) => {
    const { words, flags } = context
    const counts = noCounts()
    const folders: string[] = []
    for (const word of words) {
      if (/^https?:\/\//i.test(word)) await send(work, { url: word }, word, counts)
      else if ((await addPath(work, resolve(word), counts)) === 'folder') folders.push(resolve(word))
      else if (flags.has('watch')) throw new AppError('invalid', work.say('onlyFolders', { path: word }))
    }
    tell(work, counts)
    if (flags.has('watch')) await watchFolders(work, folders)
    return counts.failed === 0 ? 0 : 1
  })
}

/** `docs sync FOLDER` */
export async function syncFolders(context: Context): Promise<number> {
  return withDocuments(context, async (work) => {
    const [word = ''] = context.words
    const folder = resolve(word)
    if ((await kindOf(folder)) !== 'folder') throw new AppError('invalid', work.say('noFolder', { path: printable(folder) }))
    const counts = await syncFolder(work, folder)
    tell(work, counts)
    if (context.flags.has('watch')) await watchFolders(work, [folder])
    return counts.failed === 0 ? 0 : 1
  })
}

/** `docs list` */
export async function listDocuments(context: Context): Promise<number> {
  return withDocuments(context, async ({ client, say, collection }) => {
    const { terminal, flags } = context
    const documents = await allDocuments(client, collection)
    if (flags.has('json')) writeLine(terminal.output, JSON.stringify(documents, null, 2))
    else for (const document of documents) writeLine(terminal.output, lineOf(document))
    if (documents.length === 0) writeLine(terminal.notes, say('none'))
    return 0
  })
}

/** `docs show ID` */
export async function showDocument(context: Context): Promise<number> {
  return withDocuments(context, async ({ client, say }) => {
    const { terminal, flags, words } = context
    const [id = ''] = words
    const document = await client.document(id)
    if (flags.has('json')) {
      const chunks = []
      for await (const chunk of client.documentChunks(id)) chunks.push(chunk)
      writeLine(terminal.output, JSON.stringify({ ...document, chunks }, null, 2))
      return 0
    }
    writeLine(terminal.output, lineOf(document))
    for await (const { position, text, page, section } of client.documentChunks(id)) {
      const place = [
        `#${position}`,
        ...(page === undefined ? [] : [say('page', { page })]),
        ...(section === undefined ? [] : [section]),
      ]
      writeLine(terminal.output, `\n[${place.map(printable).join(' · ')}]\n${printable(text)}`)
    }
    return 0
  })
}

/** `docs remove ID` */
export async function removeDocument(context: Context): Promise<number> {
  return withDocuments(context, async ({ client, say }) => {
    const [word = ''] = context.words
    const { name, id } = await client.document(word)
    await client.removeDocument(id)
    writeLine(context.terminal.notes, say('removed', { name: printable(name) }))
    return 0
  })
}

async function withDocuments(context: Context, run: (work: Work) => Promise<number>): Promise<number> {
  const say = speakOfDocs(context.language)
  const given = context.values.get('chunk-tokens')
  if (given !== undefined && !/^\d{1,6}$/.test(given))
    throw new AppError('invalid', say('badNumber', { name: 'chunk-tokens', value: given }))
  const chunkTokens = given === undefined ? undefined : Number(given)
  return withService(context, (client) =>
    run({ context, client, say, chunkTokens, collection: context.values.get('collection') }),
  )
}

const noCounts = (): Counts => ({ done: 0, unchanged: 0, duplicate: 0, removed: 0, failed: 0 })

async function addPath(work: Work, path: string, counts: Counts): Promise<'file' | 'folder'> {
  const kind = await kindOf(path)
  if (kind === undefined) throw new AppError('not_found', work.say('noFile', { path: printable(path) }))
  if (kind === 'file') await sendFile(work, path, counts)
  else {
    const before = { ...counts }
    for await (const file of listDocumentFiles(path)) await sendFile(work, file, counts)
    if (Object.entries(before).every(([name, count]) => Reflect.get(counts, name) === count))
      writeLine(work.context.terminal.notes, work.say('nothingToRead', { path: printable(path) }))
  }
  return kind
}

async function syncFolder(work: Work, folder: string): Promise<Counts> {
  const { client, say, collection, context } = work
  const counts = noCounts()
  const { send: files, unchanged, remove } = await planSync(folder, await allDocuments(client, collection))
  // What stands for a disk that is not there must not empty a collection.
  if (files.length === 0 && unchanged.length === 0 && remove.length > 0)
    throw new AppError('invalid', say('emptiedFolder', { path: printable(folder) }))
  // First: a file that was renamed would otherwise be taken for a copy of itself.
  for (const { id, source } of remove) {
    await client.removeDocument(id)
    counts.removed += 1
    writeLine(context.terminal.notes, say('removed', { name: printable(source) }))
  }
  counts.unchanged += unchanged.length
  for (const file of files) await sendFile(work, file, counts)
  return counts
}

async function watchFolders(work: Work, folders: readonly string[]): Promise<void> {
  const { signal } = waitForStop(work.context)
  await Promise.all(
    folders.map((folder) => {
      writeLine(work.context.terminal.notes, work.say('watching', { path: printable(folder) }))
      const sync = async () => {
        const counts = await syncFolder(work, folder)
        if (counts.done + counts.duplicate + counts.removed + counts.failed > 0) tell(work, counts)
      }
      const settle = () => setTimeout(settleMs, undefined, { signal }).catch(() => {})
      return keepInStep({
        changes: watch(folder, { recursive: true, signal }),
        settle,
        sync: () => sync().catch((error: unknown) => tellFailure(work, folder, error)),
        signal,
      })
    }),
  )
}

async function sendFile(work: Work, path: string, counts: Counts): Promise<void> {
  const { collection, chunkTokens } = work
  const form = new FormData()
  form.append('source', path)
  if (collection !== undefined) form.append('collection', collection)
  if (chunkTokens !== undefined) form.append('chunk_tokens', String(chunkTokens))
  try {
    form.append('file', await readWhole(path), basename(path))
  } catch (error) {
    counts.failed += 1
    return tellFailure(work, path, error)
  }
  await send(work, form, path, counts)
}

/** One that fails is told, and the others go on. A service that is not there, or wants a login, ends it all. */
async function send(work: Work, body: FormData | Readonly<{ url: string }>, name: string, counts: Counts): Promise<void> {
  const { client, collection, chunkTokens } = work
  const fields = {
    ...(collection === undefined ? {} : { collection }),
    ...(chunkTokens === undefined ? {} : { chunk_tokens: chunkTokens }),
  }
  try {
    for await (const message of client.addDocument(body instanceof FormData ? body : { ...body, ...fields }))
      follow(work, message, name, counts)
  } catch (error) {
    if (error instanceof AppError && ['unavailable', 'unauthorized', 'internal', 'busy'].includes(error.code)) throw error
    counts.failed += 1
    tellFailure(work, name, error)
  }
}

function follow({ context, say }: Work, message: IngestMessage, path: string, counts: Counts): void {
  const { notes } = context.terminal
  const name = printable(path)
  // On a terminal the progress stays on one line: "\r" goes back to its start, and the escape sequence clears what stood there.
  const clear = notes.isTTY === true ? '\r\u001b[K' : ''
  if (message.type === 'progress') {
    if (notes.isTTY !== true) return
    const { stage, done = 0, total = 0 } = message
    const text =
      stage === 'embed' ? say('embedding', { name, done, total }) : say(stage === 'split' ? 'splitting' : 'reading', { name })
    notes.write(`${clear}${text}`)
    return
  }
  if (message.status === 'failed') {
    counts.failed += 1
    const { code, message: reason } = message.error
    const inWords = describeFailure(new AppError(code, reason), context.language, context.say)
    writeLine(notes, `${clear}${say('failed', { name, reason: printable(inWords) })}`)
    return
  }
  const { status, passages, source, pages_without_text: count } = message
  counts[status === 'unchanged' || status === 'duplicate' ? status : 'done'] += 1
  writeLine(notes, `${clear}${say(status, { name, passages, source: printable(source) })}`)
  if (count !== undefined) writeLine(notes, say('pagesWithoutText', { name, count }))
}

function tellFailure({ context, say }: Work, path: string, error: unknown): void {
  const reason = error instanceof AppError ? describeFailure(error, context.language, context.say) : String(error)
  writeLine(context.terminal.notes, say('failed', { name: printable(path), reason: printable(reason) }))
}

function tell({ context, say }: Work, counts: Counts): void {
  writeLine(context.terminal.notes, say('summary', counts))
}

async function allDocuments(client: Client, collection: string | undefined): Promise<ListedDocument[]> {
  const documents: ListedDocument[] = []
  try {
    for await (const document of client.documents(collection)) documents.push(document)
  } catch (error) {
    // One that is not there yet has none.
    if (!(error instanceof AppError && error.code === 'not_found')) throw error
  }
  return documents
}

function lineOf({ id, name, source, passages, pages, size_bytes: bytes }: ListedDocument): string {
  return [id, printable(name), printable(source), `${passages}`, pages === null ? '' : `${pages} p.`, formatBytes(bytes)].join(
    '\t',
  )
}
