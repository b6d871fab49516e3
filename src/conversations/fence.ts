/** A text in a fence of markdown that it cannot close itself. */
export function fence(text: string): string {
  const longest = (text.match(/`+/g) ?? []).reduce((most, { length }) => Math.max(most, length), 2)
  const marks = '`'.repeat(longest + 1)
  return `${marks}\n${text}\n${marks}`
}
