import type { Question } from './question-set.ts'

/** A passage of the document that a question is made about. */
export type QuestionMaterial = Readonly<{ source: string; title: string; section?: string; text: string }>

/** Gives how a model goes on after a prompt, for one line. */
export type Complete = (prompt: string, signal: AbortSignal) => Promise<string>

const mostPassageCharacters = 1200
const fewestWords = 4
const mostWords = 30
const mostRuleWords = 20

// Examples rather than orders: a base model follows them too.
const examples = [
  [
    'The library is open on weekdays from 9 to 18. Members may borrow up to six books for four weeks, and renew them twice.',
    'How many books can I take home from the library at once?',
  ],
  [
    'Para cambiar la batería, quita los dos tornillos de la tapa, desconecta el cable rojo y saca la batería hacia arriba.',
    '¿Cómo saco la batería para poner una nueva?',
  ],
] as const

/**
 * A question that a passage answers: the model's where it is one that can be used, else the passage's heading or its first sentence.
 * `made_by` says which. Throws what `complete` throws.
 */
export async function makeQuestion(
  material: QuestionMaterial,
  { id, complete }: Readonly<{ id: string; complete: Complete }>,
  signal: AbortSignal,
): Promise<Question> {
  const written =
    (await complete(toPrompt(material), signal))
      .split('\n')
      .find((line) => line.trim() !== '')
      ?.trim() ?? ''
  const isUsable = isQuestion(written, material.text)
  return {
    id,
    question: isUsable ? written : ruledQuestion(material),
    relevant: [material.source],
    made_by: isUsable ? 'model' : 'rule',
  }
}

function toPrompt({ text }: QuestionMaterial): string {
  const shown = examples.map(([passage, question]) => `Passage: ${passage}\nQuestion of a reader: ${question}\n\n`).join('')
  const passage = text.replace(/\s+/g, ' ').trim().slice(0, mostPassageCharacters)
  return `${shown}Passage: ${passage}\nQuestion of a reader:`
}

/** One question of a usual length, about this passage and not one of the examples. */
function isQuestion(line: string, passage: string): boolean {
  const words = wordsOf(line)
  if (!line.endsWith('?') || words.length < fewestWords || words.length > mostWords) return false
  if (examples.some(([, question]) => question === line)) return false
  const known = new Set(wordsOf(passage))
  return words.some((word) => word.length > 4 && known.has(word))
}

function ruledQuestion({ title, section, text }: QuestionMaterial): string {
  const heading = section?.split(' > ').at(-1) ?? title
  if (wordsOf(heading).length > 1) return heading.trim()
  const [first] = new Intl.Segmenter(undefined, { granularity: 'sentence' }).segment(text.replace(/\s+/g, ' ').trim())
  const sentence = first?.segment.trim().split(' ').slice(0, mostRuleWords).join(' ') ?? ''
  return sentence === '' ? heading.trim() || title : sentence
}

function wordsOf(text: string): readonly string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []
}
