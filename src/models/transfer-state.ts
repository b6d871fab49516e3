import { open, readFile, rename, rm } from 'node:fs/promises'
import Type from 'typebox'
import { Value } from 'typebox/value'
import { discard, unlessMissing } from '../engine/disk.ts'
import type { HubFile } from './hub-listing.ts'
import { findSize } from './verified-file.ts'

/** Bytes `from` up to, but not with, `to`. */
export type Range = readonly [from: number, to: number]

const stateFile = Type.Object({
  size: Type.Integer({ minimum: 0 }),
  digest: Type.String(),
  ranges: Type.Array(Type.Tuple([Type.Integer({ minimum: 0 }), Type.Integer({ minimum: 0 })])),
})

export const stateOf = (part: string) => `${part}.json`
const digestOf = ({ digest }: HubFile) => `${digest.algorithm}:${digest.hex}`

/** What an earlier transfer has left in a part of the same file; nothing where the part is of another one, or was not kept track of. */
export async function readState(part: string, file: HubFile): Promise<readonly Range[]> {
  const [size, text] = await Promise.all([findSize(part), readFile(stateOf(part), 'utf8').catch(unlessMissing)])
  if (size !== file.sizeBytes || text === undefined) return []
  const state = parse(text)
  const isSame = Value.Check(stateFile, state) && state.size === size && state.digest === digestOf(file)
  if (!isSame || state.ranges.some(([from, to]) => from >= to || to > size)) return []
  return state.ranges.reduce<readonly Range[]>((ranges, range) => addRange(ranges, range), [])
}

/** Notes which bytes of the part are on the disk: call it only when they are. A crash leaves the old note or the new one. */
export async function saveState(part: string, file: HubFile, ranges: readonly Range[]): Promise<void> {
  const beside = `${stateOf(part)}.new`
  try {
    const note = await open(beside, 'w')
    try {
      await note.writeFile(JSON.stringify({ size: file.sizeBytes, digest: digestOf(file), ranges }))
      await note.sync()
    } finally {
      await note.close()
    }
    await rename(beside, stateOf(part))
  } catch (error) {
    await discard(beside)
    throw error
  }
}

export async function removePart(part: string): Promise<void> {
  await Promise.all(filesOfPart(part).map((path) => rm(path, { force: true })))
}

/** All that an unfinished transfer leaves. */
export const filesOfPart = (part: string): readonly string[] => [part, stateOf(part), `${stateOf(part)}.new`]

/** The ranges with one more, in ascending order; those that touch become one. */
export function addRange(ranges: readonly Range[], [from, to]: Range): readonly Range[] {
  if (from >= to) return ranges
  const apart = ranges.filter((range) => range[1] < from || range[0] > to)
  const touching = ranges.filter((range) => range[1] >= from && range[0] <= to)
  const merged: Range = [Math.min(from, ...touching.map(([start]) => start)), Math.max(to, ...touching.map(([, end]) => end))]
  return [...apart, merged].sort(([one], [other]) => one - other)
}

/** What is still to come, in pieces of at most `segmentBytes`. */
export function splitMissing(ranges: readonly Range[], size: number, segmentBytes: number): Range[] {
  const missing: Range[] = []
  let at = 0
  for (const [from, to] of [...ranges, [size, size] as const]) {
    for (; at < from; at += segmentBytes) missing.push([at, Math.min(from, at + segmentBytes)])
    at = to
  }
  return missing
}

export function countBytes(ranges: readonly Range[]): number {
  return ranges.reduce((sum, [from, to]) => sum + to - from, 0)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
