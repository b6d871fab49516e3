import { characters, choice, type Expression, type GrammarRules, literal, nothing, sequence } from './json-grammar-rules.ts'
import { invert, unite } from './json-grammar-text.ts'

/** Any text that does not hold the mark: one rule for each beginning of the mark with which a text may end (Knuth, Morris and Pratt). */
export function textWithout(rules: GrammarRules, mark: string): Expression {
  const letters = [...mark]
  const distinct = [...new Set(letters)]
  const others = characters(...invert(unite(...distinct.map((letter) => codeRange(letter)))))
  const after = (matched: number): Expression =>
    rules.share(`without-${matched} ${mark}`, () => {
      const steps = distinct.map((letter) => ({
        letter,
        next: longestBeginning([...letters.slice(0, matched), letter], letters),
      }))
      const goingOn = steps
        .filter(({ next }) => next < letters.length)
        .map(({ letter, next }) => sequence(literal(letter), after(next)))
      return choice([sequence(others, after(0)), ...goingOn, nothing])
    })
  return after(0)
}

function codeRange(letter: string): readonly [number, number] {
  const code = letter.codePointAt(0) ?? 0
  return [code, code]
}

/** The longest beginning of the mark that the text ends with. */
function longestBeginning(text: readonly string[], mark: readonly string[]): number {
  for (let length = Math.min(text.length, mark.length); length > 0; length--)
    if (mark.slice(0, length).every((letter, place) => letter === text[text.length - length + place])) return length
  return 0
}
