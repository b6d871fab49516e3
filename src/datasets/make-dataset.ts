import { Readable } from 'node:stream'
import { AppError } from '../errors.ts'
import { endOf, readTime } from '../http/read-time.ts'
import type { TempFile, TempFiles } from '../rag/temp-files.ts'
import type { Dataset, Datasets, NewDataset } from './datasets.ts'
import { createFeedbackLines, type LessonsPart } from './from-feedback.ts'
import type { DatasetFormat, Excludable } from './kinds.ts'
import type { DatasetPreview } from './preview.ts'
import { datasetTooLarge } from './receive-upload.ts'
import type { FeedbackReport } from './report.ts'
import type { FeedbackChoiceBody, UploadFields } from './schema.ts'

/** How a dataset is called, and its rows are chosen and split. */
export type SplitOptions = Readonly<{ name: string; heldOut: number; seed: number; exclude: readonly Excludable[] }>

const usualHeldOut = 0.1

export function splitOptions({
  name,
  held_out = usualHeldOut,
  seed = 0,
  exclude_flagged = [],
}: Omit<UploadFields, 'format'>): SplitOptions {
  return { name, heldOut: held_out, seed, exclude: exclude_flagged }
}

export type Maker = Readonly<{ createdBy: string | null; signal: AbortSignal }>

type OfFile = SplitOptions & Readonly<{ file: TempFile; fileName: string; format: DatasetFormat | undefined }>

/** Makes something of what requests bring. Each throws what `Datasets.add` throws; of the file nothing is left. */
export interface Making<Made> {
  fromFile(given: OfFile, maker: Maker): Promise<Made>
  fromRows(
    given: SplitOptions & Readonly<{ rows: readonly unknown[]; format: DatasetFormat | undefined }>,
    maker: Maker,
  ): Promise<Made>
  /** Throws `invalid` for a user or a time that there is not. */
  fromFeedback(given: SplitOptions & Readonly<{ choice: FeedbackChoiceBody }>, maker: Maker): Promise<Made>
}

/** Makes datasets, or only shows what they would be. */
export type MakeDataset = Making<Dataset> & Readonly<{ preview: Making<DatasetPreview> }>

export type MakeDatasetParts = Readonly<{
  datasets: Pick<Datasets, 'add' | 'preview'>
  tempFiles: TempFiles
  /** Of a file. */
  maxBytes: number
  lessons: LessonsPart
  /** By name or id. */
  findUserId: (user: string) => Promise<string | undefined>
}>

export function createMakeDataset(parts: MakeDatasetParts): MakeDataset {
  const { datasets } = parts
  return { ...createMaking(parts, datasets.add), preview: createMaking(parts, datasets.preview) }
}

function createMaking<Made>(
  { tempFiles, maxBytes, lessons, findUserId }: Omit<MakeDatasetParts, 'datasets'>,
  make: (dataset: NewDataset, signal: AbortSignal) => Promise<Made>,
): Making<Made> {
  type Described = Pick<NewDataset, 'source' | 'origin'> & Readonly<{ feedback?: FeedbackReport }>

  async function add({ file, name, ...given }: OfFile, described: Described, { createdBy, signal }: Maker): Promise<Made> {
    try {
      const { fileName, format, heldOut, seed, exclude } = given
      const options = { path: file.path, fileName, format, heldOut, seed, exclude }
      const origin = { ...described.origin, ...(exclude.length === 0 ? {} : { exclude_flagged: exclude }) }
      return await make({ name, createdBy, options, ...described, origin }, signal)
    } finally {
      await tempFiles.remove([file])
    }
  }

  async function save(lines: Iterable<string> | AsyncIterable<string>, signal: AbortSignal): Promise<TempFile> {
    try {
      return await tempFiles.save(Readable.from(toBytes(lines)), maxBytes, signal)
    } catch (error) {
      throw error instanceof AppError && error.code === 'too_large' ? datasetTooLarge(maxBytes) : error
    }
  }

  return {
    fromFile(given, maker) {
      const { file, fileName, format } = given
      const origin = { file: fileName, bytes: file.sizeBytes, ...(format === undefined ? {} : { format }) }
      return add(given, { source: 'upload', origin }, maker)
    },
    async fromRows({ rows, ...given }, maker) {
      const file = await save(toLines(rows), maker.signal)
      return add({ ...given, file, fileName: 'rows.jsonl' }, { source: 'upload', origin: { rows: rows.length } }, maker)
    },
    async fromFeedback({ choice, ...given }, maker) {
      const { user, from, to, ...rest } = choice
      const userId = user === undefined ? undefined : await findUserId(user)
      if (user !== undefined && userId === undefined) throw invalid('from_feedback.user', 'a username or the id of a user', user)
      const resolved = {
        ...rest,
        ...(userId === undefined ? {} : { userId }),
        ...(from === undefined ? {} : { from: readTime('from_feedback.from', from) }),
        ...(to === undefined ? {} : { to: endOf(readTime('from_feedback.to', to), to) }),
      }
      const feedback = createFeedbackLines(lessons, resolved, maker.signal)
      const file = await save(feedback.lines(), maker.signal)
      if (file.sizeBytes === 0) {
        await tempFiles.remove([file])
        throw nothingToLearn(feedback.report())
      }
      const described = { source: 'feedback', origin: choice, feedback: feedback.report() } as const
      return add({ ...given, file, fileName: 'feedback.jsonl', format: undefined }, described, maker)
    },
  }
}

async function* toBytes(lines: Iterable<string> | AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  for await (const line of lines) yield Buffer.from(line)
}

function* toLines(rows: readonly unknown[]): Generator<string> {
  for (const row of rows) yield `${JSON.stringify(row)}\n`
}

function nothingToLearn({ lessons, leftOut }: FeedbackReport): AppError {
  if (lessons === 0)
    return new AppError(
      'unprocessable',
      'No feedback on a remembered answer fits the choice. Rate or correct answers, or choose less narrowly.',
    )
  const reasons = leftOut.map(({ reason, count }) => `${reason}: ${count}`).join(', ')
  const message = `Of ${lessons} lessons of the feedback that was chosen, none can be learned from. Left out: ${reasons}.`
  return new AppError('unprocessable', message)
}

function invalid(field: string, expected: string, got: string): AppError {
  const details = [{ field, expected, got: JSON.stringify(got) }]
  return new AppError('invalid', `"${field}" must be ${expected}, but is "${got}".`, { details })
}
