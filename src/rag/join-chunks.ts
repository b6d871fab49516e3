import type { Passage, PassagePlace } from '../embed/collection.ts'

/** Chunks that follow each other in their document, as one text. */
export type JoinedChunks = Readonly<{ text: string; place: PassagePlace; positions: Readonly<{ from: number; to: number }> }>

/** Joins chunks of one document, in order of position without gaps. What two of them share is said once. */
export function joinChunks(chunks: readonly [Passage, ...Passage[]]): JoinedChunks {
  const [first, ...others] = chunks
  let text = first.text
  let end = first.place?.endOffset
  for (const { text: next, place } of others) {
    const start = place?.startOffset
    const shared = start === undefined || end === undefined ? 0 : Math.max(0, end - start)
    text += shared > 0 ? next.slice(shared) : `\n${next}`
    end = place?.endOffset
  }
  const last = others.at(-1) ?? first
  return { text, place: joinPlaces(first.place, last.place), positions: { from: first.position, to: last.position } }
}

function joinPlaces(first: PassagePlace | undefined, last: PassagePlace | undefined): PassagePlace {
  const lastPage = last?.lastPage ?? last?.page
  return {
    ...first,
    ...(lastPage === undefined ? {} : { lastPage }),
    ...(last?.endOffset === undefined ? {} : { endOffset: last.endOffset }),
  }
}

/** Groups numbers into runs: those that differ by one belong together. `[7, 2, 3]` gives `[[2, 3], [7]]`. */
export function toRuns(positions: readonly number[]): readonly (readonly [number, ...number[]])[] {
  const runs: [number, ...number[]][] = []
  for (const position of [...new Set(positions)].sort((one, other) => one - other)) {
    const run = runs.at(-1)
    if (run !== undefined && run.at(-1) === position - 1) run.push(position)
    else runs.push([position])
  }
  return runs
}
