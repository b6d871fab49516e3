import { hash } from 'node:crypto'
import type { Prompt } from '../engine/provider.ts'
import { AppError } from '../errors.ts'

/** Conversations fall into so many places, each of which belongs to one arm: a share has two digits after the point. */
export const places = 10_000

/** Places from the first one up to, and without, the second one. */
export type Range = readonly [from: number, to: number]

/** A model with the places whose conversations it answers. */
export type Arm = Readonly<{
  /** As a request names it: of a provider besides this machine `PROVIDER/MODEL`. */
  model: string
  provider: string
  ranOn: 'local' | 'cloud'
  ranges: readonly Range[]
}>

const sizeOf = (ranges: readonly Range[]) => ranges.reduce((sum, [from, to]) => sum + to - from, 0)

/** In percent. */
export const shareOf = ({ ranges }: Pick<Arm, 'ranges'>): number => sizeOf(ranges) / (places / 100)

/** Shares in percent as numbers of places. Throws `invalid` unless they have two digits after the point at most and add up to 100. */
export function toSizes(shares: readonly number[]): readonly number[] {
  const sizes = shares.map((share) => Math.round((share * places) / 100))
  const broken = shares.findIndex((share, index) => Math.abs(share - ((sizes[index] ?? 0) * 100) / places) > 1e-9)
  if (broken >= 0)
    throw refusal(`arms.${broken}.share`, 'a percentage with two digits after the point at most', String(shares[broken]))
  const total = sizes.reduce((sum, size) => sum + size, 0)
  if (total !== places) throw refusal('arms', 'arms whose shares add up to 100', `${(total * 100) / places} in all`)
  return sizes
}

export function refusal(field: string, expected: string, got: string): AppError {
  return new AppError('invalid', `"${field}" must be ${expected}, but is ${got}.`, { details: [{ field, expected, got }] })
}

/**
 * Gives each arm so many places. Arms that shrink lose their last places, those that grow get them, and nothing else moves: a
 * conversation stays unless its arm shrinks, and goes to an arm that grows.
 */
export function resize(before: ReadonlyArray<readonly Range[]>, sizes: readonly number[]): ReadonlyArray<readonly Range[]> {
  const kept = before.map((ranges, index) => firstPlaces(ranges, sizes[index] ?? 0))
  let free = withoutPlaces([[0, places]], kept.flat())
  return kept.map((ranges, index) => {
    const given = firstPlaces(free, (sizes[index] ?? 0) - sizeOf(ranges))
    free = withoutPlaces(free, given)
    return [...ranges, ...given]
  })
}

/** The first places of these, as many as there are at most. */
function firstPlaces(ranges: readonly Range[], count: number): readonly Range[] {
  let left = count
  return ranges.flatMap(([from, to]): Range[] => {
    const taken = Math.max(0, Math.min(to - from, left))
    left -= taken
    return taken === 0 ? [] : [[from, from + taken]]
  })
}

function withoutPlaces(ranges: readonly Range[], taken: readonly Range[]): readonly Range[] {
  return taken.reduce(
    (rest, [from, to]) =>
      rest.flatMap(([start, end]): Range[] => {
        const before: Range = [start, Math.min(end, from)]
        const after: Range = [Math.max(start, to), end]
        return [before, after].filter(([first, last]) => first < last)
      }),
    ranges,
  )
}

/** The arm that answers; undefined where none has the place. */
export function armAt<T extends Pick<Arm, 'ranges'>>(arms: readonly T[], place: number): T | undefined {
  return arms.find(({ ranges }) => ranges.some(([from, to]) => from <= place && place < to))
}

/** The one that has all, or the first one. */
export function settledArm(arms: readonly [Arm, ...Arm[]]): Arm {
  return arms.find((arm) => shareOf(arm) === 100) ?? arms[0]
}

/** What a conversation is known by: all of its turns repeat it. */
export type Beginning = Readonly<{ rolloutId: string; askerKey: string; text: string }>

/** The place of a conversation. Another rollout draws anew. */
export function placeOf({ rolloutId, askerKey, text }: Beginning): number {
  const bits = hash('sha256', JSON.stringify([rolloutId, askerKey, text]))
  return Number.parseInt(bits.slice(0, 12), 16) % places
}

/** What all turns of a conversation begin with: its system message and its first question. Of a plain prompt, all of it. */
export function beginningOf(prompt: Prompt): string {
  if (prompt.type === 'text') return prompt.text
  const until = prompt.messages.findIndex(({ role }) => role === 'user')
  const first = until < 0 ? prompt.messages.slice(0, 1) : prompt.messages.slice(0, until + 1)
  const told = first.filter(({ role }) => role === 'system' || role === 'user')
  return JSON.stringify(told.map((message) => [message.role, message.content, 'images' in message ? message.images : []]))
}
