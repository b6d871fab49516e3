import { AppError, type ErrorCode } from '../../src/errors.ts'
import { type FileKind, type HostileFile, makeHostileFiles } from './hostile-files.ts'
import { openReader } from './readers.ts'

export type Outcome = Readonly<{
  kind: FileKind
  index: number
  /** `read`: it was whole enough. `fault`: something was thrown that the service did not foresee. */
  result: 'read' | 'fault' | ErrorCode
  message: string
  ms: number
}>

/** Has the reader of a kind read so many files of a seed, one after the other. */
export const tryFiles = (kind: FileKind, count: number, seed: number) => tryAll(kind, makeHostileFiles(kind, count, seed))

export async function* tryAll(kind: FileKind, files: AsyncIterable<HostileFile>): AsyncGenerator<Outcome> {
  const reader = await openReader(kind)
  try {
    for await (const file of files) {
      const startedMs = performance.now()
      const outcome = await reader.read(file).then(
        () => ({ result: 'read', message: '' }) as const,
        (error: unknown) => describe(error),
      )
      yield { kind, index: file.index, ...outcome, ms: Math.round(performance.now() - startedMs) }
    }
  } finally {
    await reader.close()
  }
}

function describe(error: unknown): Pick<Outcome, 'result' | 'message'> {
  const isForeseen = error instanceof AppError && error.code !== 'internal'
  if (isForeseen) return { result: error.code, message: error.message }
  return { result: 'fault', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }
}
