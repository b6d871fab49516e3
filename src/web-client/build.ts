import { createHash, randomUUID } from 'node:crypto'
import { glob, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AppError } from '../errors.ts'
import type { Run } from '../models/package-download.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** What the pages are made of: their own files, the client of the service with what it uses, and the packages. */
const sources = [
  ...['web/**', 'src/client.ts', 'src/client/**', 'src/read-event-stream.ts', 'src/errors.ts', 'package-lock.json'],
  ...['src/models/model-name.ts', 'src/engine/quantization.ts'],
]

/** Where the built pages lie. */
export const builtPages = join(root, 'dist', 'web')
const stampName = '.built-from'

/**
 * Builds the pages where they are missing or older than their sources; they are there whole or not at all. Tells `onBuild` before it
 * begins. Throws `internal` with what the build said.
 */
export async function ensureBuiltPages(run: Run, onBuild: () => void = () => {}): Promise<void> {
  const wanted = await fingerprint()
  if ((await readFile(join(builtPages, stampName), 'utf8').catch(() => undefined)) === wanted) return
  onBuild()
  const beside = `${builtPages}.${randomUUID()}`
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js')
  try {
    const { code, output } = await run(process.execPath, [
      ...[vite, 'build', '--config', join(root, 'web', 'vite.config.ts')],
      ...['--outDir', beside, '--emptyOutDir'],
    ])
    if (code !== 0) throw new AppError('internal', `The pages could not be built: ${output.slice(-2000)}`)
    await writeFile(join(beside, stampName), wanted)
    await rm(builtPages, { recursive: true, force: true })
    await rename(beside, builtPages)
  } finally {
    await rm(beside, { recursive: true, force: true })
  }
}

/** A SHA-256 of the names and contents of all sources. */
async function fingerprint(): Promise<string> {
  const files = await Array.fromAsync(glob(sources, { cwd: root, withFileTypes: true }))
  const paths = files.flatMap((file) => (file.isFile() ? [join(file.parentPath, file.name)] : [])).sort()
  const hash = createHash('sha256')
  for (const path of paths)
    hash
      .update(path.slice(root.length))
      .update('\0')
      .update(await readFile(path))
  return hash.digest('hex')
}
