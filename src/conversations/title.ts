const mostCharacters = 80
/** A cut farther back than this would leave too little. */
const leastCharacters = 40

/** The beginning of a question as a title: one line, cut at a word. */
export function titleOf(question: string): string {
  const line = question
    .toWellFormed()
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim()
  if (line.length <= mostCharacters) return line
  // Room for the sign that it is cut.
  const cut = line.slice(0, mostCharacters - 1).replace(/[\uD800-\uDBFF]$/, '')
  const space = line[mostCharacters - 1] === ' ' ? cut.length : cut.lastIndexOf(' ')
  return `${(space >= leastCharacters ? cut.slice(0, space) : cut).trimEnd()}…`
}
