// Each is one token of all-MiniLM-L6-v2's tokenizer.
const words =
  'the of and to in is was for on with that by at from his it an were which are this be had also has not first one but other they their new after who its been two when there all into out more some only time over such would where them may most year years made between many during then used under later than through part being world city state people school well known became found high house war life work name number group place since line great small long both company system area family second early about season town church university south north national river county island'.split(
    ' ',
  )

/** Texts of random words, of `tokens` tokens with the two that the model puts around a text. */
export function randomTexts(count: number, tokens: number): readonly string[] {
  const word = () => words[Math.floor(Math.random() * words.length)] ?? 'the'
  return Array.from({ length: count }, () => Array.from({ length: tokens - 2 }, word).join(' '))
}
