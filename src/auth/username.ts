import { AppError } from '../errors.ts'

const minCharacters = 3
const maxCharacters = 64
const expected = `${minCharacters} to ${maxCharacters} letters, digits, single spaces or . _ - @ + '`

/** Letters, marks, digits and a few signs; single spaces inside. */
const shape = /^[\p{L}\p{M}\p{N}._@+'-]+(?: [\p{L}\p{M}\p{N}._@+'-]+)*$/u
/** What is not seen, or turns the reading direction: fillers, joiners, variation selectors, bidi marks. */
const invisible = /\p{Default_Ignorable_Code_Point}/u
/** Three marks on one letter is a drawing, not a name. */
const stackedMarks = /\p{M}{3}/u
/** Alphabets whose letters look alike: a name mixed from two of them could pass for another ("аdmin"). */
const lookalikeScripts = [
  /\p{Script=Latin}/u,
  /\p{Script=Greek}/u,
  /\p{Script=Cyrillic}/u,
  /\p{Script=Armenian}/u,
  /\p{Script=Cherokee}/u,
  /\p{Script=Coptic}/u,
]

/** The name as it is shown and kept: NFKC, without white space around it. Throws `invalid`. */
export function normalizeUsername(typed: string): string {
  const username = typed.normalize('NFKC').trim()
  const problem = findProblem(username)
  if (problem === undefined) return username
  throw new AppError('invalid', `This username cannot be used: expected ${expected}, but ${problem}.`, {
    details: [{ field: 'username', expected, got: problem }],
  })
}

function findProblem(username: string): string | undefined {
  const characters = [...username].length
  if (characters < minCharacters || characters > maxCharacters) return `it has ${characters} characters`
  if (invisible.test(username)) return 'it holds characters that cannot be seen'
  if (!shape.test(username)) return 'it holds other characters'
  if (stackedMarks.test(username)) return 'it stacks marks on a letter'
  if (lookalikeScripts.filter((script) => script.test(username)).length > 1) return 'it mixes alphabets that look alike'
  return undefined
}

/** Two typed names with the same key are the same user: NFKC and case folded. Any text has a key. */
export function usernameKey(typed: string): string {
  // To and fro: upper case joins what lower case keeps apart (ß and ss, ς and σ), but leaves a capital ẞ as it is.
  return typed.normalize('NFKC').trim().toLowerCase().toUpperCase().toLowerCase().normalize('NFKC')
}
