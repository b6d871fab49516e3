import type { StatsFs } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { createLook } from './engine/look-at-disk.ts'
import type { DiskRoom } from './metrics/storage-metrics.ts'

/** How full the disks of some folders are; one that cannot be looked at, or does not answer in time, is left out. */
export function createDiskRooms(
  folders: Readonly<Record<string, string>>,
  look: (path: string) => Promise<Pick<StatsFs, 'bavail' | 'blocks' | 'bsize'>> = statfs,
): () => Promise<readonly DiskRoom[]> {
  const looks = Object.entries(folders).map(([folder, path]) =>
    createLook(async (): Promise<readonly DiskRoom[]> => {
      const { bavail, blocks, bsize } = await look(path)
      return [{ folder, freeBytes: bavail * bsize, sizeBytes: blocks * bsize }]
    }, []),
  )
  return async () => (await Promise.all(looks.map((lookAt) => lookAt()))).flat()
}
