import { createHash } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AppError } from '../errors.ts'
import type { Run } from '../models/package-download.ts'
import { replaceFolder } from '../storage/replace-folder.ts'

const ownRoot = fileURLToPath(new URL('../..', import.meta.url))

/** Where the built pages lie. */
export const builtPages = pagesIn(ownRoot)
const stampName = '.built-from'
/** Written by the build: the files that went into the pages. */
const listName = '.sources.json'

/**
 * Builds the pages where they are missing or older than their sources; they are there whole or not at all. Tells `onBuild` before it
 * begins. Throws `internal` with what the build said.
 */
export async function ensureBuiltPages(run: Run, onBuild: () => void = () => {}, root = ownRoot): Promise<void> {
  const pages = pagesIn(root)
  const stamp = await readFile(join(pages, stampName), 'utf8').catch(() => undefined)
  if (stamp !== undefined && stamp === (await fingerprint(root, pages))) return
  onBuild()
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js')
  await replaceFolder(pages, async (beside) => {
    const { code, output } = await run(process.execPath, [
      ...[vite, 'build', '--config', join(root, 'web', 'vite.config.ts')],
      ...['--outDir', beside, '--emptyOutDir'],
    ])
    if (code !== 0) throw new AppError('internal', `The pages could not be built: ${output.slice(-2000)}`)
    await writeFile(join(beside, stampName), await fingerprint(root, beside))
  })
}

function pagesIn(root: string): string {
  return join(root, 'dist', 'web')
}

/**
 * A SHA-256 of the names and contents of all that the pages in a folder are made of: whatever stands in the folder of their sources, the
 * packages, and what the last build has listed besides.
 */
async function fingerprint(root: string, folder: string): Promise<string> {
  const listed: readonly string[] = JSON.parse(await readFile(join(folder, listName), 'utf8').catch(() => '[]'))
  const files = await readdir(join(root, 'web'), { recursive: true, withFileTypes: true })
  const own = files.flatMap((file) => (file.isFile() ? [relative(root, join(file.parentPath, file.name))] : []))
  const paths = [...new Set([...own, 'package-lock.json', ...listed])].sort()
  // One that has gone makes another fingerprint, too.
  const read = (path: string) => readFile(join(root, path)).catch(() => 'gone')
  const contents = await Promise.all(paths.map(async (path) => [path, await read(path)] as const))
  const hash = createHash('sha256')
  for (const [path, content] of contents) hash.update(path).update('\0').update(content)
  return hash.digest('hex')
}
