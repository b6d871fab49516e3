/** What V8 counted of one file in one process: functions, each with the blocks in it that ran another number of times than what is around them. */
export type Script = Readonly<{
  url: string
  functions: ReadonlyArray<Readonly<{ functionName: string; ranges: readonly Range[] }>>
}>
type Range = Readonly<{ startOffset: number; endOffset: number; count: number }>

export type Coverage = Readonly<{
  branches: number
  covered: number
  /** Where the blocks begin that never ran. */
  missed: readonly number[]
}>

/** The blocks of one file that ran in any of the processes. */
export function mergeRanges(scripts: readonly Script[]): Coverage {
  const blocks = new Map<string, Readonly<{ start: number; end: number }>>()
  const ran = new Set<string>()
  const all = scripts.map(({ functions }) => functions.flatMap(({ ranges }) => ranges))
  for (const { startOffset: start, endOffset: end } of all.flat()) blocks.set(`${start}-${end}`, { start, end })
  for (const ranges of all) for (const [name, block] of blocks) if (!ran.has(name) && countAt(ranges, block) > 0) ran.add(name)
  const missed = [...blocks].filter(([name]) => !ran.has(name)).map(([, { start }]) => start)
  return { branches: blocks.size, covered: ran.size, missed: missed.sort((one, other) => one - other) }
}

/** The innermost range around a block tells how often it ran; nothing around it: it was never loaded. */
function countAt(ranges: readonly Range[], { start, end }: Readonly<{ start: number; end: number }>): number {
  let innermost: Range | undefined
  for (const range of ranges) {
    if (range.startOffset > start || range.endOffset < end) continue
    if (innermost === undefined || range.endOffset - range.startOffset < innermost.endOffset - innermost.startOffset)
      innermost = range
  }
  return innermost?.count ?? 0
}
