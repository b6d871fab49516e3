import type { Counts } from './count-tests.ts'
import { sumOf } from './report.ts'

/** What tests must run to the last branch: a mistake in it lets somebody in, or shows somebody what is another's. */
const modules: Readonly<Record<string, RegExp>> = {
  'accounts (auth)': /^src\/auth\//,
  'cache and its key (predict/cache)': /^src\/predict\/cache\.ts$/,
  'names and paths (models/model-name, web-client/pages, storage/replace-folder)':
    /^src\/(?:models\/model-name|web-client\/pages|storage\/replace-folder)\.ts$/,
  'framing (http/event-stream, http/websocket, predict/websocket)':
    /^src\/(?:http\/event-stream|http\/websocket|predict\/websocket)\.ts$/,
}

/** The least percentage of the branches in a folder of `src`. */
const leastOfFolders = 90

export type Share = Readonly<{ name: string; branches: number; covered: number }>

export function sharesOfModules(counts: Counts): readonly Share[] {
  return Object.entries(modules).map(([name, files]) => ({ name, ...sumOf(counts, (file) => files.test(file)) }))
}

/** With all that is below each. */
export function sharesOfFolders(counts: Counts): readonly Share[] {
  const folders = new Set([...counts.keys()].map(folderOf))
  return [...folders].sort().map((name) => ({ name, ...sumOf(counts, (file) => folderOf(file) === name) }))
}

/** Those with less than they must have. */
export function shortOf(shares: Readonly<{ modules: readonly Share[]; folders: readonly Share[] }>): readonly Share[] {
  const isShort = (percent: number) => (share: Share) => 100 * share.covered < percent * share.branches
  return [...shares.modules.filter(isShort(100)), ...shares.folders.filter(isShort(leastOfFolders))]
}

/** What lies in `src` itself is a folder of its own. */
function folderOf(file: string): string {
  const [src, folder, ...rest] = file.split('/')
  return rest.length === 0 ? `${src}` : `${src}/${folder}`
}
