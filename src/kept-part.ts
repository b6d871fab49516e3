import { statfs } from 'node:fs/promises'
import { bucketOf } from './asker.ts'
import type { Config } from './config.ts'
import { createKeptBytes, type KeepRoutes } from './usage/kept-bytes.ts'

/** What callers may hand in to be kept, by day and by what room the disk has. A part of the composition root. */
export function openKeptBytes({ dataDir, keptBytesPerDay, minFreeDisk }: Config, now: () => number): KeepRoutes {
  return createKeptBytes({
    bytesPerDay: keptBytesPerDay,
    minFreeBytes: minFreeDisk,
    async readSpace() {
      const { bavail, blocks, bsize } = await statfs(dataDir)
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
    },
    keyOf: bucketOf,
    now,
  })
}
