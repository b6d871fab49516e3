import { readFile } from 'node:fs/promises'
import type { Counts } from './count-tests.ts'
import { coverageOf } from './merge-ranges.ts'

/** A line for each file, with the lines where blocks begin that did not run. */
export async function describeFiles(counts: Counts): Promise<string[]> {
  const files = [...counts].sort(([one], [other]) => one.localeCompare(other))
  return Promise.all(
    files.map(async ([file, ranges]) => {
      const text = await readFile(file, 'utf8')
      const { branches, covered, missed } = coverageOf(ranges)
      const lines = [...new Set(missed.map((offset) => text.slice(0, offset).split('\n').length))]
      return `${share(covered, branches)} ${file}${lines.length === 0 ? '' : `  not: ${lines.join(', ')}`}`
    }),
  )
}

/** A line for each folder of `src`, with all that is below it. */
export function describeFolders(counts: Counts): string[] {
  const sums = new Map<string, Readonly<{ branches: number; covered: number }>>()
  for (const [file, ranges] of counts) {
    const [, folder = '', ...rest] = file.split('/')
    const name = rest.length === 0 ? 'src' : `src/${folder}`
    const { branches, covered } = coverageOf(ranges)
    const sum = sums.get(name) ?? { branches: 0, covered: 0 }
    sums.set(name, { branches: sum.branches + branches, covered: sum.covered + covered })
  }
  return [...sums]
    .sort(([one], [other]) => one.localeCompare(other))
    .map(([name, { covered, branches }]) => `${share(covered, branches)} ${name}`)
}

export function share(covered: number, branches: number): string {
  const percent = ((100 * covered) / branches).toFixed(1)
  return `${percent.padStart(5)} % ${String(covered).padStart(5)}/${String(branches).padEnd(5)}`
}
