/** A piece of a text; `isHit`: it is what was searched for. */
export type Piece = Readonly<{ text: string; isHit: boolean }>

/** Letters without their marks and in lower case, one for each code unit, so that places stay the same. */
const plain = (text: string) =>
  [...text]
    .map((letter) => (letter.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()[0] ?? letter).padEnd(letter.length))
    .join('')

/** Cuts a text so that each word that begins like a word of the search stands by itself. The pieces joined are the text. */
export function markWords(text: string, search: string): readonly Piece[] {
  const searched = plain(search).match(/[\p{L}\p{N}]+/gu) ?? []
  if (searched.length === 0) return [{ text, isHit: false }]
  const pieces: Piece[] = []
  let end = 0
  for (const { index, 0: word } of plain(text).matchAll(/[\p{L}\p{N}]+/gu)) {
    if (!searched.some((beginning) => word.startsWith(beginning))) continue
    if (index > end) pieces.push({ text: text.slice(end, index), isHit: false })
    end = index + word.length
    pieces.push({ text: text.slice(index, end), isHit: true })
  }
  if (end < text.length || pieces.length === 0) pieces.push({ text: text.slice(end), isHit: false })
  return pieces
}
