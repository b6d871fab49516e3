import { openStorage, type Storage, type StorageOptions } from '../src/storage/open-storage.ts'

const opened: Storage[] = []

/** Opens storage that `closeOpened` closes, as an `afterEach` does before its folder goes. */
export async function openToClose(options: StorageOptions): Promise<Storage> {
  const storage = await openStorage(options)
  opened.push(storage)
  return storage
}

export async function closeOpened(): Promise<void> {
  for (const storage of opened.splice(0)) await storage.close()
}
