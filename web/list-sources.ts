import { writeFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import type { Plugin } from 'vite'

/** Lists the project's own files that the pages are made of, with paths from `root`, in `.sources.json` beside what is built. */
export function listSources(root: string): Plugin {
  return {
    name: 'list-sources',
    apply: 'build',
    async writeBundle({ dir = '' }, bundle) {
      const modules = Object.values(bundle).flatMap((part) => (part.type === 'chunk' ? part.moduleIds : []))
      const paths = modules.map((id) => relative(root, id.replace(/\?.*$/, '')).split(sep).join('/'))
      const own = paths.filter((path) => /^(?:web|src)\//.test(path))
      await writeFile(join(dir, '.sources.json'), JSON.stringify([...new Set(own)].sort()))
    },
  }
}
