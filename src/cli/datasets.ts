import { open } from 'node:fs/promises'
import { basename, dirname, extname, resolve } from 'node:path'
import { excludable } from '../datasets/kinds.ts'
import type { DatasetAnswer, DatasetBody, DatasetItem } from '../datasets/schema.ts'
import { discard, isSystemError, toDiskError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { allPages } from './admin.ts'
import { type Context, printable, refusal, withService, writeLine } from './context.ts'
import { type SayOfDatasets, speakOfDatasets } from './datasets-messages.ts'
import { describeReport } from './datasets-report.ts'
import { kindOf, readWhole } from './docs-files.ts'

const referenceOf = ({ name, version }: Pick<DatasetItem, 'name' | 'version'>) => `${name}:${version}`

/** `datasets list` */
export async function listDatasets(context: Context): Promise<number> {
  const { terminal, flags, language } = context
  return withService(context, async (client) => {
    const datasets: DatasetItem[] = []
    for await (const dataset of allPages((cursor) => client.listDatasets(cursor))) datasets.push(dataset)
    if (flags.has('json')) writeLine(terminal.output, JSON.stringify(datasets, null, 2))
    else if (datasets.length === 0) writeLine(terminal.notes, speakOfDatasets(language)('none'))
    else for (const dataset of datasets) writeLine(terminal.output, lineOf(dataset))
    return 0
  })
}

function lineOf(dataset: DatasetItem): string {
  const { kind, source, train_rows, held_out_rows, created_at, id } = dataset
  return [referenceOf(dataset), kind, source, `${train_rows}+${held_out_rows}`, created_at, id].map(printable).join('\t')
}

/** `datasets show NAME` */
export async function showDataset(context: Context): Promise<number> {
  const { terminal, flags, words, language } = context
  const [name = ''] = words
  return withService(context, async (client) => {
    const dataset = await client.dataset(name)
    if (flags.has('json')) writeLine(terminal.output, JSON.stringify(dataset, null, 2))
    else {
      writeLine(terminal.output, lineOf(dataset))
      for (const line of describeReport(dataset, speakOfDatasets(language))) writeLine(terminal.output, printable(line))
    }
    return 0
  })
}

/** `datasets add FILE` */
export async function addDataset(context: Context): Promise<number> {
  const { words, values, language } = context
  const say = speakOfDatasets(language)
  const [given = ''] = words
  const path = resolve(given)
  if ((await kindOf(path)) !== 'file') throw new AppError('not_found', say('noFile', { path: printable(given) }))
  const form = new FormData()
  form.set('name', values.get('name') ?? basename(path, extname(path)))
  const format = values.get('format')
  if (format !== undefined) form.set('format', format)
  const { held_out, seed, exclude_flagged } = splitOf(context, say)
  if (held_out !== undefined) form.set('held_out', String(held_out))
  if (seed !== undefined) form.set('seed', String(seed))
  if (exclude_flagged !== undefined) form.set('exclude_flagged', JSON.stringify(exclude_flagged))
  form.set('file', await readWhole(path), basename(path))
  return withService(context, async (client) => tellMade(await client.addDataset(form), context, say))
}

/** `datasets from-feedback NAME` */
export async function addFromFeedback(context: Context): Promise<number> {
  const { words, values, language } = context
  const say = speakOfDatasets(language)
  const [name = ''] = words
  const method = oneOf(values.get('method') ?? 'sft', ['sft', 'dpo'] as const)
  if (method === undefined) throw new AppError('invalid', say('badMethod'))
  const rating = oneOf(values.get('rating'), ['up', 'down'] as const)
  if (rating === undefined && values.has('rating')) throw new AppError('invalid', say('badRating'))
  const texts = (['model', 'user', 'from', 'to'] as const).flatMap((name) => (values.has(name) ? [[name, values.get(name)]] : []))
  const tags = listOf(values.get('tags'))
  const choice = {
    method,
    ...(rating === undefined ? {} : { rating }),
    ...Object.fromEntries(texts),
    ...(tags === undefined ? {} : { tags: [...tags] }),
  }
  const body = { name, from_feedback: choice, ...splitOf(context, say) }
  return withService(context, async (client) => tellMade(await client.addDataset(body), context, say))
}

/** `datasets export NAME` */
export async function exportDataset(context: Context): Promise<number> {
  const { terminal, words, values, language } = context
  const [name = ''] = words
  return withService(context, async (client) => {
    const pieces = client.exportDataset(name, values.get('split'))
    const path = values.get('output')
    if (path === undefined) for await (const piece of pieces) terminal.output.write(piece)
    else {
      const file = await openNew(path, speakOfDatasets(language))
      try {
        for await (const piece of pieces) await file.writeFile(piece)
      } catch (error) {
        // Half of a dataset looks like one.
        await discard(path)
        throw toDiskError(error, dirname(path))
      } finally {
        await file.close()
      }
      writeLine(terminal.notes, speakOfDatasets(language)('exported', { name, path: printable(path) }))
    }
    return 0
  })
}

/** What is there already is not overwritten: it may be somebody's only copy. */
function openNew(path: string, say: SayOfDatasets) {
  return open(path, 'wx').catch((error: unknown) => {
    if (isSystemError(error, 'EEXIST')) throw refusal('conflict', say('exists', { path: printable(path) }))
    if (isSystemError(error, 'ENOENT')) throw refusal('not_found', say('noFolder', { path: printable(dirname(path)) }))
    throw toDiskError(error, dirname(path))
  })
}

/** `datasets delete NAME` */
export async function deleteDataset(context: Context): Promise<number> {
  const { terminal, words, language } = context
  const [name = ''] = words
  return withService(context, async (client) => {
    const dataset = await client.dataset(name)
    await client.removeDataset(dataset.id)
    writeLine(terminal.notes, speakOfDatasets(language)('deleted', { name: referenceOf(dataset) }))
    return 0
  })
}

function tellMade(dataset: DatasetAnswer, { terminal, flags }: Context, say: SayOfDatasets): number {
  if (flags.has('json')) writeLine(terminal.output, JSON.stringify(dataset, null, 2))
  else {
    writeLine(terminal.output, say('made', { name: referenceOf(dataset), id: dataset.id }))
    for (const line of describeReport(dataset, say)) writeLine(terminal.output, printable(line))
  }
  return 0
}

type Splitting = Pick<DatasetBody, 'held_out' | 'seed' | 'exclude_flagged'>

/** What may be excluded, the service says. */
function splitOf({ values }: Context, say: SayOfDatasets): Splitting {
  const numberOf = (name: string) => {
    const value = values.get(name)
    if (value === undefined) return undefined
    if (value.trim() === '' || !Number.isFinite(Number(value))) throw new AppError('invalid', say('badNumber', { name, value }))
    return Number(value)
  }
  const [heldOut, seed, exclude] = [numberOf('held-out'), numberOf('seed'), listOf(values.get('exclude'))]
  return {
    ...(heldOut === undefined ? {} : { held_out: heldOut }),
    ...(seed === undefined ? {} : { seed }),
    ...(exclude === undefined ? {} : { exclude_flagged: exclude.map((name) => readExcludable(name, say)) }),
  }
}

function readExcludable(name: string, say: SayOfDatasets) {
  const known = oneOf(name, excludable)
  if (known === undefined)
    throw new AppError('invalid', say('badExclude', { value: printable(name), known: excludable.join(', ') }))
  return known
}

function oneOf<const T extends string>(given: string | undefined, known: readonly T[]): T | undefined {
  return known.find((name) => name === given)
}

function listOf(given: string | undefined): readonly string[] | undefined {
  return given
    ?.split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}
