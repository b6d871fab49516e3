import { readFile } from 'node:fs/promises'
import type { Counts } from './count-tests.ts'
import { coverageOf } from './merge-ranges.ts'

/** All branches of some files together. */
export function sumOf(counts: Counts, isCounted: (file: string) => boolean): Readonly<{ branches: number; covered: number }> {
  const ranges = [...counts].filter(([file]) => isCounted(file)).flatMap(([, its]) => its)
  return { branches: ranges.length, covered: ranges.filter(({ count }) => count > 0).length }
}

/** A line for each file, with the lines where blocks begin that did not run. */
export async function describeFiles(counts: Counts): Promise<string[]> {
  const files = [...counts].sort(([one], [other]) => one.localeCompare(other))
  return Promise.all(
    files.map(async ([file, ranges]) => {
      const text = await readFile(file, 'utf8')
      const { branches, covered, missed } = coverageOf(ranges)
      const lines = [...new Set(missed.map((offset) => text.slice(0, offset).split('\n').length))]
      return `${describeShare({ name: file, branches, covered })}${lines.length === 0 ? '' : `  not: ${lines.join(', ')}`}`
    }),
  )
}

export function describeShare({
  name,
  branches,
  covered,
}: Readonly<{ name: string; branches: number; covered: number }>): string {
  const percent = ((100 * covered) / branches).toFixed(1)
  return `${percent.padStart(5)} % ${String(covered).padStart(5)}/${String(branches).padEnd(5)} ${name}`
}
