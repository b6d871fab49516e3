import type { QueryEnd } from '../../src/rag/query-schema.ts'

/** A part of an answer: its text, a citation in it, or both inside of a sentence that was checked. */
export type Piece = Readonly<{ kind: 'text'; text: string }> | Readonly<{ kind: 'citation'; number: number }>

export type Part = Readonly<{
  pieces: readonly Piece[]
  /** `false`: no source says this. `undefined`: not checked, or no sentence. */
  supported: boolean | undefined
}>

/** While an answer is written, nothing of it is checked. */
export function toParts(text: string, sources: number, sentences: QueryEnd['sentences'] = []): readonly Part[] {
  const parts: Part[] = []
  let at = 0
  const add = (until: number, supported: boolean | undefined) => {
    if (until > at) parts.push({ pieces: toPieces(text.slice(at, until), sources), supported })
    at = Math.max(at, until)
  }
  for (const sentence of sentences) {
    add(sentence.offset, undefined)
    add(sentence.offset + sentence.text.length, sentence.supported ?? undefined)
  }
  add(text.length, undefined)
  return parts
}

function toPieces(text: string, sources: number): readonly Piece[] {
  return text.split(/(\[\d+\])/).flatMap((piece): readonly Piece[] => {
    const number = Number(/^\[(\d+)\]$/.exec(piece)?.[1] ?? 0)
    if (number >= 1 && number <= sources) return [{ kind: 'citation', number }]
    return piece === '' ? [] : [{ kind: 'text', text: piece }]
  })
}
