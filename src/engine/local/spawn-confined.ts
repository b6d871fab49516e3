import { realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { type ProcessChild, spawnFile } from './spawn-process.ts'

export type ConfinedOptions = Readonly<{
  /** The only folder outside the program that it may read. */
  folder: string
  /** An npm package that it needs, wherever that is installed. */
  needs: string
  log: (text: string) => void
  memoryMb: number
}>

/** Starts a process that reads what strangers have sent: it can read its folder and the program's own code, write nothing, and sees no environment. */
export function spawnConfined<To extends object, From>(file: URL, options: ConfinedOptions): ProcessChild<To, From> {
  const { folder, needs, log, memoryMb } = options
  const modules = createRequire(import.meta.url)
    .resolve(needs)
    .replace(/([/\\]node_modules[/\\]).*$/, '$1')
  const source = fileURLToPath(new URL('../../', import.meta.url))
  const readable = [folder, source, fileURLToPath(new URL('../../../node_modules/', import.meta.url)), modules]
  const paths = [...new Set(readable.flatMap((path) => [path, realPathOf(path)]))]
  const nodeFlags = [
    '--permission',
    ...paths.map((path) => `--allow-fs-read=${path}`),
    '--disable-warning=SecurityWarning',
    `--max-old-space-size=${memoryMb}`,
  ]
  return spawnFile(file, { log, nodeFlags, env: {} })
}

/** Looked up once: this process waits for the disk meanwhile. */
const realPaths = new Map<string, string>()

function realPathOf(path: string): string {
  const known = realPaths.get(path)
  if (known !== undefined) return known
  try {
    const found = realpathSync(path)
    realPaths.set(path, found)
    return found
  } catch {
    return path
  }
}
