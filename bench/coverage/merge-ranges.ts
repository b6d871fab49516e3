/** A block of a file, and how often it ran. What V8 names are blocks that ran another number of times than what is around them. */
export type Range = Readonly<{ startOffset: number; endOffset: number; count: number }>

export type Coverage = Readonly<{
  branches: number
  covered: number
  /** Where the blocks begin that never ran. */
  missed: readonly number[]
}>

/** What any of several processes ran of one file, counted as 1 or 0: as if one process had run all of it. */
export function mergeRanges(processes: ReadonlyArray<readonly Range[]>): readonly Range[] {
  const blocks = new Map(processes.flat().map((range) => [`${range.startOffset}-${range.endOffset}`, range]))
  return [...blocks.values()].map(({ startOffset, endOffset }) => {
    const hasRun = processes.some((ranges) => countAt(ranges, { startOffset, endOffset }) > 0)
    return { startOffset, endOffset, count: hasRun ? 1 : 0 }
  })
}

/** Without what V8 calls a block and holds no code, such as the gap before `finally` where both ways out of it return. */
export function withCode(ranges: readonly Range[], text: string): readonly Range[] {
  return ranges.filter(({ startOffset, endOffset }) => !/^[\s}]*$/.test(text.slice(startOffset, endOffset)))
}

export function coverageOf(ranges: readonly Range[]): Coverage {
  const missed = ranges.filter(({ count }) => count === 0).map(({ startOffset }) => startOffset)
  return { branches: ranges.length, covered: ranges.length - missed.length, missed: missed.sort((one, other) => one - other) }
}

/** The innermost range around a block tells how often it ran; nothing around it: it was never loaded. */
function countAt(ranges: readonly Range[], { startOffset, endOffset }: Omit<Range, 'count'>): number {
  let innermost: Range | undefined
  for (const range of ranges) {
    if (range.startOffset > startOffset || range.endOffset < endOffset) continue
    if (innermost === undefined || range.endOffset - range.startOffset < innermost.endOffset - innermost.startOffset)
      innermost = range
  }
  return innermost?.count ?? 0
}
