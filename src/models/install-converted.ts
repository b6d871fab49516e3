import { rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { discard, toDiskError } from '../engine/disk.ts'
import { partOf } from './unfinished.ts'
import { hashFile, type Origin, recordOf, saveRecord } from './verified-file.ts'

export type Converted = Readonly<{
  target: string
  origin: Origin | undefined
  /** Writes the file, whole or not at all. */
  convert: (file: string) => Promise<void>
}>

/** Makes a model by converting something else; it is there with what is to be known of it, or not at all. Throws as `convert` does. */
export async function installConverted({ target, origin, convert }: Converted, signal?: AbortSignal): Promise<void> {
  const part = partOf(target, 'convert')
  try {
    await convert(part)
    // Before the file: without it, the next conversion would take the file for somebody else's.
    await saveRecord(target, { sha256: await hashFile(part, signal), origin }, part)
    await rename(part, target).catch(async (error: unknown) => {
      await discard(recordOf(target))
      throw error
    })
  } catch (error) {
    throw toDiskError(error, dirname(target))
  } finally {
    // Where it was installed it has gone already.
    await discard(part)
  }
}
