import { percentile } from '../statistics.ts'

export type Cell = Readonly<{ texts: number; tokens: number }>
export type Measured = Cell & Readonly<{ target: string; textsPerSecond: number }>

/** Medians over the rounds, and behind each other target the first one's median as a multiple of its own. */
export function formatTable(targets: readonly string[], cells: readonly Cell[], measured: readonly Measured[]): string {
  const median = (target: string, { texts, tokens }: Cell) =>
    percentile(
      measured
        .filter((one) => one.target === target && one.texts === texts && one.tokens === tokens)
        .map(({ textsPerSecond }) => textsPerSecond),
      50,
    )
  const [first = ''] = targets
  const rows = cells.map((cell) => {
    const own = median(first, cell)
    const columns = targets.map((target, index) => {
      const value = median(target, cell)
      return index === 0 ? value.toFixed(0) : `${value.toFixed(0)} (${(own / value).toFixed(2)}×)`
    })
    return [`${cell.texts} of ${cell.tokens} tokens`, ...columns]
  })
  const head = ['texts per request', ...targets]
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')
}
