import { copyFile, mkdir, rename, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { discard, isSystemError, toDiskError } from '../engine/disk.ts'
import type { LearnedDatasets } from './trainer.ts'

export type RunFiles = Readonly<{ trainFile: string; heldOutFile: string; replayFile: string | undefined }>

export type RunSources = Readonly<{
  folder: string
  datasetId: string
  /** What is replayed; undefined: nothing. */
  replay: Readonly<{ datasetId: string } | { file: string }> | undefined
}>

/** Writes what a run learns from into its folder; what an earlier start has written stays, as datasets do not change. */
export async function writeRunFiles(
  datasets: Pick<LearnedDatasets, 'writeExamples'>,
  { folder, datasetId, replay }: RunSources,
): Promise<RunFiles> {
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw toDiskError(error, folder)
  })
  const at = (name: string) => join(folder, name)
  const examples = (id: string, split: 'train' | 'held-out') => (file: string) => datasets.writeExamples(id, split, file)
  const trainFile = await writeOnce(at('train.jsonl'), examples(datasetId, 'train'))
  const heldOutFile = await writeOnce(at('held-out.jsonl'), examples(datasetId, 'held-out'))
  if (replay === undefined) return { trainFile, heldOutFile, replayFile: undefined }
  const write = 'file' in replay ? (file: string) => copyFile(replay.file, file) : examples(replay.datasetId, 'train')
  return { trainFile, heldOutFile, replayFile: await writeOnce(at('replay.jsonl'), write) }
}

async function writeOnce(file: string, write: (file: string) => Promise<void>): Promise<string> {
  if (await isThere(file)) return file
  const unfinished = `${file}.new`
  try {
    await write(unfinished)
    await rename(unfinished, file)
  } catch (error) {
    await discard(unfinished)
    throw toDiskError(error, dirname(file))
  }
  return file
}

async function isThere(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    (error: unknown) => {
      if (isSystemError(error, 'ENOENT')) return false
      throw error
    },
  )
}
