import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import { AppError } from '../errors.ts'

const text = Type.String({ minLength: 1, pattern: '\\S' })

const question = Type.Object(
  {
    /** Unique in its set; the number of the line where it is missing. */
    id: Type.Optional(text),
    question: text,
    /** The sources of the documents that answer it, each alone. */
    relevant: Type.Array(text, { minItems: 1 }),
    /** What a person would answer. */
    answer: Type.Optional(Type.String()),
    /** `dev` for choosing settings, `test` for reporting on them, or whatever else parts the set. */
    split: Type.Optional(text),
    /** Who wrote it: a model, a plain rule, or a person. */
    made_by: Type.Optional(Type.Union([Type.Literal('model'), Type.Literal('rule'), Type.Literal('person')])),
  },
  { additionalProperties: false },
)

/** A question with the documents that answer it. */
export type Question = Readonly<Static<typeof question> & { id: string }>

/**
 * Reads a question set: one JSON object a line, blank lines left out. Throws `invalid` with the number of the first line that is
 * wrong, for an id that stands twice, and for a set without a question.
 */
export function parseQuestions(jsonl: string): readonly Question[] {
  const seen = new Set<string>()
  const questions = jsonl
    .replace(/^\uFEFF/, '')
    .split('\n')
    .flatMap((line, index) => (line.trim() === '' ? [] : [parseLine(line, index + 1)]))
  for (const { id } of questions) {
    if (seen.has(id)) throw new AppError('invalid', `The id "${id}" stands twice in the question set; each must be unique.`)
    seen.add(id)
  }
  if (questions.length === 0) throw new AppError('invalid', 'The question set holds no question.')
  return questions
}

export function formatQuestions(questions: readonly Question[]): string {
  return questions.map((one) => `${JSON.stringify(one)}\n`).join('')
}

function parseLine(line: string, number: number): Question {
  const value = parseJson(line)
  if (!Value.Check(question, value)) {
    const [error] = Value.Errors(question, value)
    const where = error?.instancePath ? ` (${error.instancePath.slice(1)}: ${error.message})` : ''
    throw new AppError(
      'invalid',
      `Line ${number} of the question set must be {"question", "relevant": ["SOURCE", …]}, with "id", "answer", "split" or "made_by" if ` +
        `wanted${where}. It is: ${line.slice(0, 100)}`,
    )
  }
  return { ...value, id: value.id ?? String(number) }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
