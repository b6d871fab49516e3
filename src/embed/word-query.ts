/** A query of more words than this is cut: each costs a look into the index. */
const mostWords = 64
/** From so many letters on, a word is also found as the beginning of a longer one. */
const shortestPrefix = 4
/** What many words of English and Spanish end in, so that "headings" finds "heading" and "flores" finds "flor"; longest first. */
const endings = ['ing', 'es', 'ed', 's', 'e'] as const
/** Words that tell nothing, each beside any other: looked for only where there is nothing else, as they are in nearly every text. */
const functionWords: ReadonlySet<string> = new Set(
  (
    'a an and are as at be but by can could did do does for from had has have how i if in into is it its me my no not of on or our ' +
    'out over should so some such than that the their them then there these they this those to too up us was we were what when where ' +
    'which while who why will with would you your al como con cual cuando de del donde el en es esta este ha la las lo los mi no o ' +
    'para pero por que quien se si sin sobre su sus te tu un una y ya'
  ).split(' '),
)

/** One word, or several side by side; the last one, where it is a prefix, is also found as the beginning of a longer word. */
export type WordTerm = Readonly<{ words: readonly string[]; isPrefix: boolean }>

/**
 * What is looked for to find whatever holds one of the telling words of a text: the words, and those that stand side by side once more as
 * a phrase, none of them twice. Nothing where the text has no words.
 */
export function readWordTerms(text: string): readonly WordTerm[] {
  const words = (text.toWellFormed().match(/[\p{L}\p{N}\p{M}\p{Co}]+/gu) ?? []).slice(0, mostWords)
  const phrases = words.flatMap((word, index) => {
    const next = words[index + 1]
    return next === undefined || isFunctionWord(word) || isFunctionWord(next) ? [] : [{ words: [word, next], isPrefix: false }]
  })
  const telling = words.filter((word) => !isFunctionWord(word))
  const terms = [...(telling.length > 0 ? telling : words).map(toTerm), ...phrases]
  return [...new Map(terms.map((term) => [toPhrase(term), term])).values()]
}

/**
 * The query for FTS5; undefined where there is nothing to look for. Each word is quoted, so that nothing of the text is read as an
 * operator, and what FTS5 does not take for a part of a word is left out.
 */
export function toWordQuery(text: string): string | undefined {
  const terms = readWordTerms(text)
  return terms.length === 0 ? undefined : terms.map(toPhrase).join(' OR ')
}

const toPhrase = ({ words, isPrefix }: WordTerm) => `"${words.join(' ')}"${isPrefix ? '*' : ''}`

const isFunctionWord = (word: string) => functionWords.has(word.toLowerCase().normalize('NFD').replaceAll(/\p{M}/gu, ''))

function toTerm(word: string): WordTerm {
  if (word.length < shortestPrefix || !/^[\p{L}\p{M}]+$/u.test(word)) return { words: [word], isPrefix: false }
  const lower = word.toLowerCase()
  const ending = endings.find((one) => lower.endsWith(one) && lower.length - one.length >= shortestPrefix)
  return { words: [ending === undefined ? lower : lower.slice(0, -ending.length)], isPrefix: true }
}
