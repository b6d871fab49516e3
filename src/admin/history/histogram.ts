/** How many durations fell into each bucket. */
export type Histogram = number[]

/** Four buckets from a duration to its double: what is read from them is at most 19 % beside the truth. */
const perDoubling = 4
/** Up to 2^20 milliseconds, about 17 minutes; what takes longer counts as that. */
const doublings = 20
const bucketCount = perDoubling * doublings + 1

export const emptyHistogram = (): Histogram => Array<number>(bucketCount).fill(0)

/** The upper end of a bucket in milliseconds; it belongs to the bucket. The first one begins at 0. */
const endOf = (bucket: number): number => 2 ** (bucket / perDoubling)

export function bucketOf(ms: number): number {
  if (ms <= 1) return 0
  return Math.min(bucketCount - 1, Math.ceil(Math.log2(ms) * perDoubling))
}

export function count(histogram: Histogram, ms: number): void {
  const bucket = bucketOf(ms)
  histogram[bucket] = (histogram[bucket] ?? 0) + 1
}

export function addHistogram(to: Histogram, from: readonly number[]): void {
  for (const [bucket, more] of from.entries()) to[bucket] = (to[bucket] ?? 0) + more
}

/** The duration that a share of all were not longer than, in milliseconds; undefined where there are none. */
export function quantile(histogram: readonly number[], share: number): number | undefined {
  const total = histogram.reduce((sum, one) => sum + one, 0)
  if (total === 0) return undefined
  const rank = Math.max(1, Math.ceil(share * total))
  let below = 0
  for (const [bucket, here] of histogram.entries()) {
    if (below + here >= rank) {
      const start = bucket === 0 ? 0 : endOf(bucket - 1)
      return start + (endOf(bucket) - start) * ((rank - below - 0.5) / here)
    }
    below += here
  }
  return undefined
}

/** Bucket, count, bucket, count, …: most are empty. */
export const packHistogram = (histogram: readonly number[]): number[] =>
  [...histogram.entries()].flatMap(([bucket, here]) => (here === 0 ? [] : [bucket, here]))

export function unpackHistogram(packed: readonly number[]): Histogram {
  const histogram = emptyHistogram()
  for (let index = 0; index + 1 < packed.length; index += 2) histogram[packed[index] ?? 0] = packed[index + 1] ?? 0
  return histogram
}
