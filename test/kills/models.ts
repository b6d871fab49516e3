// Files of models: one that is pulled, quantized, merged, an adapter that is installed, and a model that is removed. Given: the address of
// a hub, what is pulled there, and its SHA-256.
import { openAdapterPath, openMergePath, openQuantizePath, openRemovalPath } from './model-paths.ts'
import { openPullPath } from './pull-path.ts'
import { savePaths } from './save-paths.ts'

await savePaths(async ({ folder, given: [endpoint = '', name = '', sha256 = ''] }) => [
  await openPullPath(folder, { endpoint, name, sha256 }),
  await openQuantizePath(folder),
  await openMergePath(folder),
  await openAdapterPath(folder),
  await openRemovalPath(folder),
])
