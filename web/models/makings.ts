import type { Making } from '../../src/client.ts'

type Own = Readonly<{ kind: 'quantize' | 'merge'; model: string }>

/** Which of the works is the one that this page holds: the latest that does the same. */
export function ownOf(makings: readonly Making[], own: Own | undefined): string | undefined {
  if (own === undefined) return undefined
  const kind = own.kind === 'merge' ? 'merge' : 'quantization'
  return makings.find((one) => one.state === 'running' && one.kind === kind && one.model === own.model)?.id
}

/** Those that run, and those that ended while somebody looked on and has not put them away, but those of this page. */
export function othersOf(
  makings: readonly Making[],
  { mine, seen, hidden }: Readonly<Record<'mine' | 'seen' | 'hidden', ReadonlySet<string>>>,
): readonly Making[] {
  return makings.filter(({ id, state }) => !mine.has(id) && !hidden.has(id) && (state === 'running' || seen.has(id)))
}
