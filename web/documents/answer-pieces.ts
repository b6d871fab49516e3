import type { QueryEnd } from '../../src/rag/query-schema.ts'

/** `nearest`: no citation of the model, but the source that says the same as its sentence. `warning`: no source says this. */
export type Piece =
  | Readonly<{ kind: 'text'; text: string }>
  | Readonly<{ kind: 'citation' | 'nearest'; number: number }>
  | Readonly<{ kind: 'warning' }>

/** A part of an answer: a sentence that was checked, or what stands between two. */
export type Part = Readonly<{
  pieces: readonly Piece[]
  /** `false`: no source says this. `undefined`: not checked, or no sentence. */
  supported: boolean | undefined
}>

/** While an answer is written, nothing of it is checked. */
export function toParts(text: string, sources: number, sentences: QueryEnd['sentences'] = []): readonly Part[] {
  const parts: Part[] = []
  let at = 0
  const add = (until: number, supported: boolean | undefined, note: readonly Piece[] = []) => {
    if (until > at) parts.push({ pieces: [...toPieces(text.slice(at, until), sources), ...note], supported })
    at = Math.max(at, until)
  }
  for (const sentence of sentences) {
    add(sentence.offset, undefined)
    add(sentence.offset + sentence.text.length, sentence.supported ?? undefined, noteOf(sentence))
  }
  add(text.length, undefined)
  return parts
}

/** What the check has to add to a sentence. */
function noteOf({ supported, citations, nearest_source: number }: QueryEnd['sentences'][number]): readonly Piece[] {
  if (supported === false) return [{ kind: 'warning' }]
  return supported === true && citations.length === 0 && number !== null ? [{ kind: 'nearest', number }] : []
}

function toPieces(text: string, sources: number): readonly Piece[] {
  return text.split(/(\[\d+\])/).flatMap((piece): readonly Piece[] => {
    const number = Number(/^\[(\d+)\]$/.exec(piece)?.[1] ?? 0)
    if (number >= 1 && number <= sources) return [{ kind: 'citation', number }]
    return piece === '' ? [] : [{ kind: 'text', text: piece }]
  })
}
