import { readFile } from 'node:fs/promises'
import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import type { TrainingExample } from '../engine/train/example.ts'
import { AppError } from '../errors.ts'

const language = Type.Enum(['en', 'es'])

const completion = Type.Object({
  id: Type.String(),
  language,
  /** `chat`: an answer to a question; `text`: how a text goes on. */
  type: Type.Enum(['chat', 'text']),
  prompt: Type.String(),
  completion: Type.String(),
})
export type GeneralCompletion = Static<typeof completion>

const question = Type.Object({
  id: Type.String(),
  language,
  question: Type.String(),
  /** Any of these is right. */
  answers: Type.Array(Type.String(), { minItems: 1 }),
})
export type GeneralQuestion = Static<typeof question>

/**
 * What any model should go on knowing: everyday facts, half of them in English and half in Spanish. They never change, so that reports can be
 * compared. Both files are in the public domain (CC0).
 */
export async function readGeneralCompletions(): Promise<readonly GeneralCompletion[]> {
  return (await readLines('general-completions.jsonl')).map((line) => check(completion, line))
}

export async function readGeneralQuestions(): Promise<readonly GeneralQuestion[]> {
  return (await readLines('general-questions.jsonl')).map((line) => check(question, line))
}

export function toExample({ type, prompt, completion: text }: GeneralCompletion): TrainingExample {
  if (type === 'text') return { type, text: `${prompt} ${text}` }
  const messages = [
    { role: 'user', content: prompt },
    { role: 'assistant', content: text },
  ] as const
  return { type, messages }
}

async function readLines(file: string): Promise<readonly unknown[]> {
  const text = await readFile(new URL(file, import.meta.url), 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
}

function check<Schema extends typeof completion | typeof question>(schema: Schema, value: unknown): Static<Schema> {
  if (Value.Check(schema, value)) return value
  throw new AppError('internal', `A line of the general set is not as it should be: ${JSON.stringify(value)}`)
}
