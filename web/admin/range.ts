const hourSeconds = 3600

/** The stretches of time that can be chosen by name, up to now. */
export const spans = {
  hour: hourSeconds,
  sixHours: 6 * hourSeconds,
  day: 24 * hourSeconds,
  week: 7 * 24 * hourSeconds,
  month: 30 * 24 * hourSeconds,
} as const
export type SpanName = keyof typeof spans
export const spanNames: readonly SpanName[] = ['hour', 'sixHours', 'day', 'week', 'month']

/** ISO 8601, with their zone. */
export type Period = Readonly<{ from: string; to: string }>
/** Up to now, or between two times. */
export type Range = Readonly<{ span: SpanName }> | Period

export const firstRange: Range = { span: 'hour' }

export function periodOf(range: Range, now: number): Period {
  if ('from' in range) return range
  return { from: new Date(now - spans[range.span] * 1000).toISOString(), to: new Date(now).toISOString() }
}

/** What an address says: `['week']`, or a beginning and an end; undefined where it says no range. */
export function readRange([first, second]: readonly string[]): Range | undefined {
  const span = spanNames.find((name) => name === first)
  if (span !== undefined) return { span }
  return first === undefined || second === undefined ? undefined : between(first, second)
}

/** A range from two times as an address or a field holds them; undefined where they are none, or the wrong way round. */
export function between(from: string, to: string): Period | undefined {
  const [start, end] = [Date.parse(from), Date.parse(to)]
  if (!(start < end)) return undefined
  return { from: new Date(start).toISOString(), to: new Date(end).toISOString() }
}

/** The parts of an address; the reverse of `readRange`. */
export function rangePath(range: Range): readonly string[] {
  return 'from' in range ? [range.from, range.to] : [range.span]
}

/** A time as a field of the type `datetime-local` holds it. */
export function toLocalField(iso: string): string {
  const date = new Date(iso)
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

/** What a field of the type `datetime-local` holds, as the service takes it; undefined where it is empty. */
export function fromLocalField(value: string): string | undefined {
  const time = Date.parse(value)
  return Number.isNaN(time) ? undefined : new Date(time).toISOString()
}
