import { writeFile } from 'node:fs/promises'
import type { Client, DocumentChunk } from '../client.ts'
import { usualCollection } from '../embed/schema.ts'
import { discard, isSystemError } from '../engine/disk.ts'
import { createRandom } from '../engine/local/random.ts'
import { AppError } from '../errors.ts'
import { type Complete, makeQuestion, type QuestionMaterial } from '../rag/make-questions.ts'
import { formatQuestions, type Question } from '../rag/question-set.ts'
import { type Context, withService, writeLine } from './context.ts'
import { inTurn, readNumber } from './docs-eval.ts'
import type { SayOfDocsEval } from './docs-eval-messages.ts'

const mostQuestions = 10_000
/** Chunks of a document that a question may be about. */
const chunksRead = 50
const fewestCharacters = 80
const mostTokens = 48

/** `docs eval --make N`: questions about documents that are drawn from the collection, in a file for a person to look through. */
export async function makeQuestionSet(context: Context, given: string, say: SayOfDocsEval): Promise<number> {
  const { values, terminal } = context
  const wanted = readNumber('--make', given, mostQuestions, say)
  const file = values.get('output') ?? 'questions.jsonl'
  // A person may have worked on the file that is there.
  const writeNew = (text: string) =>
    writeFile(file, text, { flag: 'wx' }).catch(async (cause: unknown) => {
      if (!isSystemError(cause, 'EEXIST')) await discard(file)
      throw new AppError('invalid', say('unwritableFile', { file }), { cause })
    })
  // Before a model has worked on it for long.
  await writeNew('')
  await discard(file)
  const questions = await withService(context, (client) => makeQuestions({ client, context, say }, wanted))
  await writeNew(formatQuestions(questions))
  const model = questions.filter(({ made_by: by }) => by === 'model').length
  writeLine(terminal.notes, say('made', { count: questions.length, file, model, rule: questions.length - model }))
  return 0
}

type Parts = Readonly<{ client: Client; context: Context; say: SayOfDocsEval }>

async function makeQuestions(parts: Parts, wanted: number): Promise<readonly Question[]> {
  const { client, context, say } = parts
  const { notes } = context.terminal
  const random = createRandom(1)
  const collection = context.values.get('collection')
  const drawn = shuffle(await listAll(client.documents(collection)), random)
  if (drawn.length === 0) throw new AppError('not_found', say('noDocuments', { name: collection ?? usualCollection }))
  const complete = completeWith(parts)
  const questions: Question[] = []
  for (const { id, source, name } of drawn) {
    if (questions.length === wanted) break
    const chunks = await firstChunks(client, id)
    const material = draw(chunks, random, { source, title: name })
    if (material === undefined) continue
    const number = String(questions.length + 1)
    questions.push(await makeQuestion(material, { id: number, complete }, new AbortController().signal))
    if (notes.isTTY === true) notes.write(`\r\u001b[K${say('making', { done: number, total: wanted })}`)
  }
  if (notes.isTTY === true) notes.write('\r\u001b[K')
  return questions
}

async function listAll<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

async function firstChunks(client: Client, id: string): Promise<readonly DocumentChunk[]> {
  const chunks: DocumentChunk[] = []
  for await (const chunk of client.documentChunks(id)) if (chunks.push(chunk) === chunksRead) break
  return chunks
}

/** A chunk that says something, or undefined when there is none. */
function draw(
  chunks: readonly DocumentChunk[],
  random: () => number,
  document: Pick<QuestionMaterial, 'source' | 'title'>,
): QuestionMaterial | undefined {
  const speaking = chunks.filter(({ text }) => text.length >= fewestCharacters)
  const chunk = speaking[Math.floor(random() * speaking.length)]
  if (chunk === undefined) return undefined
  return { ...document, text: chunk.text, ...(chunk.section === undefined ? {} : { section: chunk.section }) }
}

/** Asks the service's model, as long as there is one; without one each question is made by rule. */
function completeWith({ client, context, say }: Parts): Complete {
  let hasModel = true
  return async (prompt) => {
    if (!hasModel) return ''
    try {
      const { choices } = await inTurn(
        () => client.predict({ prompt, max_length: mostTokens, temperature: 0, stop: ['\n'], store: false }),
        (seconds) => writeLine(context.terminal.notes, say('waiting', { seconds })),
      )
      return choices.map(({ text }) => text).join('')
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'unavailable') throw error
      hasModel = false
      return ''
    }
  }
}

function shuffle<T>(items: readonly T[], random: () => number): readonly T[] {
  return items
    .map((item) => ({ item, place: random() }))
    .sort((one, other) => one.place - other.place)
    .map(({ item }) => item)
}
