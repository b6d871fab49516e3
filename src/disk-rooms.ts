import { statfs } from 'node:fs/promises'
import type { DiskRoom } from './metrics/storage-metrics.ts'

/** How full the disks of some folders are; one that cannot be looked at is left out. */
export async function readDiskRooms(folders: Readonly<Record<string, string>>): Promise<readonly DiskRoom[]> {
  const rooms = Object.entries(folders).map(async ([folder, path]): Promise<readonly DiskRoom[]> => {
    try {
      const { bavail, blocks, bsize } = await statfs(path)
      return [{ folder, freeBytes: bavail * bsize, sizeBytes: blocks * bsize }]
    } catch {
      return []
    }
  })
  return (await Promise.all(rooms)).flat()
}
