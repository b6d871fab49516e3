import { readFile } from 'node:fs/promises'
import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import type { Client } from '../../src/client.ts'

const factsFile = new URL('../../test/fixtures/training/facts.json', import.meta.url)
const factsSchema = Type.Array(
  Type.Object({ question: Type.String(), answer: Type.String(), key: Type.String(), paraphrase: Type.String() }),
)

/** An invented fact: what is asked, what is right, the word that shows it, and the question in other words. */
export type Fact = Static<typeof factsSchema>[number]

export async function readFacts(): Promise<readonly Fact[]> {
  return Value.Parse(factsSchema, JSON.parse(await readFile(factsFile, 'utf8')))
}

export type Answered = Readonly<{ id: string; fact: Fact; text: string }>
/** Answers that hold the key, and those that are the right answer to the letter. */
export type Score = Readonly<{ key: number; equal: number; of: number }>

/** Longer than any right answer. */
const answerTokens = 40

/** One after the other, each as a conversation of its own, of whichever model answers who names none. */
export async function askAll(
  client: Client,
  facts: readonly Fact[],
  wording: 'question' | 'paraphrase',
): Promise<readonly Answered[]> {
  const answers: Answered[] = []
  for (const fact of facts) answers.push({ fact, ...(await ask(client, fact[wording])) })
  return answers
}

async function ask(client: Client, question: string): Promise<Readonly<{ id: string; text: string }>> {
  let text = ''
  const body = { messages: [{ role: 'user', content: question }], temperature: 0, max_tokens: answerTokens } as const
  for await (const event of client.chatStream(body)) {
    if (event.type === 'text') text += event.text
    else return { id: event.id, text: text.trim() }
  }
  throw new Error('An answer had no end.')
}

export const holdsKey = ({ fact, text }: Answered) => text.includes(fact.key)

export function scoreOf(answers: readonly Answered[]): Score {
  const equal = answers.filter(({ fact, text }) => text === fact.answer).length
  return { key: answers.filter(holdsKey).length, equal, of: answers.length }
}
