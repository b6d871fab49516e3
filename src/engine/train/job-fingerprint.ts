import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import type { TrainJob } from './protocol.ts'

/** Enough of a model file to tell it from others: its header comes first. */
const modelBytes = 1024 ** 2

/** What decides how a run goes: checkpoints are only for runs that would go the same way. */
export async function fingerprintOf({ modelPath, trainFile, heldOutFile, replayFile, parameters }: TrainJob): Promise<string> {
  const hash = createHash('sha256')
  hash.update(JSON.stringify(Object.entries(parameters).toSorted(([one], [other]) => (one < other ? -1 : 1))))
  hash.update(`${(await stat(modelPath)).size}`)
  hash.update(await beginningOf(modelPath))
  for (const file of [trainFile, heldOutFile, replayFile]) {
    hash.update(`\n${file === undefined ? 0 : (await stat(file)).size}\n`)
    if (file !== undefined) for await (const piece of createReadStream(file)) hash.update(piece)
  }
  return hash.digest('hex')
}

async function beginningOf(path: string): Promise<Uint8Array> {
  await using file = await open(path, 'r')
  const { buffer, bytesRead } = await file.read(Buffer.alloc(modelBytes), 0, modelBytes, 0)
  return buffer.subarray(0, bytesRead)
}
