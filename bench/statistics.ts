export { percentile } from '../src/statistics.ts'

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** `list` begun at another place, so that over the rounds each stands at each place. */
export function rotate<T>(list: readonly T[], by: number): readonly T[] {
  const start = list.length === 0 ? 0 : by % list.length
  return [...list.slice(start), ...list.slice(0, start)]
}
