/** A piece of one of two texts; `isOwn`: the other text has it not. */
export type DiffPiece = Readonly<{ text: string; isOwn: boolean }>
export type Diff = Readonly<{ before: readonly DiffPiece[]; after: readonly DiffPiece[] }>

/** Cells of the table of the longest common subsequence: more would hold up the page. */
const mostCells = 1_000_000

/**
 * Where two texts differ, by words: what is not in their longest common subsequence is each text's own. Of texts that are too long for that,
 * all between the common beginning and end is.
 */
export function diffWords(before: string, after: string): Diff {
  const [one, other] = [wordsOf(before), wordsOf(after)]
  const start = commonStart(one, other)
  const end = commonEnd(one.slice(start), other.slice(start))
  const [from, to] = [one.slice(start, one.length - end), other.slice(start, other.length - end)]
  const isTooLong = from.length * to.length > mostCells
  const common = isTooLong ? { before: new Set<number>(), after: new Set<number>() } : commonPlaces(from, to)
  return {
    before: join(one, (place) => isInside(place, start, one.length - end) && !common.before.has(place - start)),
    after: join(other, (place) => isInside(place, start, other.length - end) && !common.after.has(place - start)),
  }
}

/** Words, blanks and marks; together they are the text. */
const wordsOf = (text: string): readonly string[] => text.match(/\s+|[\p{L}\p{M}\p{N}_]+|./gsu) ?? []

const isInside = (place: number, from: number, to: number) => place >= from && place < to

function commonStart(one: readonly string[], other: readonly string[]): number {
  const most = Math.min(one.length, other.length)
  let count = 0
  while (count < most && one[count] === other[count]) count += 1
  return count
}

function commonEnd(one: readonly string[], other: readonly string[]): number {
  const most = Math.min(one.length, other.length)
  let count = 0
  while (count < most && one.at(-1 - count) === other.at(-1 - count)) count += 1
  return count
}

/** Places of a longest common subsequence in both lists. */
function commonPlaces(one: readonly string[], other: readonly string[]) {
  const width = other.length + 1
  const lengths = new Uint16Array((one.length + 1) * width)
  const at = (row: number, column: number) => lengths[row * width + column] ?? 0
  for (let row = one.length - 1; row >= 0; row -= 1)
    for (let column = other.length - 1; column >= 0; column -= 1)
      lengths[row * width + column] =
        one[row] === other[column] ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1))
  const [before, after] = [new Set<number>(), new Set<number>()]
  for (let row = 0, column = 0; row < one.length && column < other.length; ) {
    if (one[row] === other[column]) {
      before.add(row)
      after.add(column)
      row += 1
      column += 1
    } else if (at(row + 1, column) >= at(row, column + 1)) row += 1
    else column += 1
  }
  return { before, after }
}

/** Neighbours of the same kind are one piece. */
function join(words: readonly string[], isOwn: (place: number) => boolean): readonly DiffPiece[] {
  const pieces: { text: string; isOwn: boolean }[] = []
  for (const [place, text] of words.entries()) {
    const own = isOwn(place)
    const last = pieces.at(-1)
    if (last?.isOwn === own) last.text += text
    else pieces.push({ text, isOwn: own })
  }
  return pieces
}
