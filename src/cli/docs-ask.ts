import { createInterface } from 'node:readline'
import type { Client, DocumentsAnswerEvent } from '../client.ts'
import { AppError } from '../errors.ts'
import type { QueryBody, SourceBody } from '../rag/query-schema.ts'
import { type Context, inWords, printable, withService, writeLine } from './context.ts'
import { type SayOfDocs, speakOfDocs } from './docs-messages.ts'

type History = NonNullable<QueryBody['history']>
type Asking = Readonly<{ client: Client; context: Context; say: SayOfDocs; options: Pick<QueryBody, 'collection' | 'mode'> }>

/** Turns of a conversation that go along with a question. */
const mostTurns = 20

/** `docs ask [QUESTION…]`: one answer, or a conversation of a question a line. */
export async function askDocuments(context: Context): Promise<number> {
  const { words, flags, values, terminal, language } = context
  const say = speakOfDocs(language)
  const collection = values.get('collection')
  const options = { mode: readMode(values.get('mode'), say), ...(collection === undefined ? {} : { collection }) }
  return withService(context, async (client) => {
    const asking = { client, context, say, options }
    if (words.length === 0) return converse(asking)
    const question = words.join(' ')
    if (flags.has('json'))
      writeLine(terminal.output, JSON.stringify(await client.askDocuments({ question, ...options }), null, 2))
    else await answer(asking, question, [])
    return 0
  })
}

function readMode(name: string | undefined, say: SayOfDocs): NonNullable<QueryBody['mode']> {
  if (name === undefined || name === 'hybrid' || name === 'vector' || name === 'words') return name ?? 'hybrid'
  throw new AppError('invalid', say('badMode', { name }))
}

/** Each line is a question that may follow from the one before. Gives 1 when one could not be answered. */
async function converse(asking: Asking): Promise<number> {
  const { input, notes } = asking.context.terminal
  const isPerson = input.isTTY === true
  if (isPerson) writeLine(notes, asking.say('askGreeting'))
  const lines = createInterface({ input, terminal: isPerson, ...(isPerson ? { output: notes } : {}), prompt: '> ' })
  const history: History = []
  let exitCode = 0
  if (isPerson) lines.prompt()
  for await (const line of lines) {
    const question = line.trim()
    if (question === '' && isPerson) break
    if (question !== '' && !(await take(asking, question, history))) exitCode = 1
    if (isPerson) lines.prompt()
  }
  lines.close()
  return exitCode
}

/** Whether the question was answered; then it is part of the conversation. */
async function take(asking: Asking, question: string, history: History): Promise<boolean> {
  const { client, context } = asking
  try {
    const text = await answer(asking, question, history.slice(-mostTurns))
    if (text.trim() !== '') history.push({ role: 'user', content: question }, { role: 'assistant', content: text })
    return true
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    writeLine(context.terminal.notes, (await inWords(error, client, context)).message)
    return false
  }
}

/** Shows the answer as it comes, then its sources and what they do not say. */
async function answer({ client, context, say, options }: Asking, question: string, history: History): Promise<string> {
  const { output, notes } = context.terminal
  let sources: readonly SourceBody[] = []
  let text = ''
  for await (const event of client.askDocumentsStream({ question, history, ...options })) {
    switch (event.type) {
      case 'sources':
        sources = event.sources
        break
      case 'text':
        text += event.text
        output.write(printable(event.text))
        break
      case 'done':
        writeLine(output)
        showSources(event, sources, { notes, say })
    }
  }
  return text
}

type End = Extract<DocumentsAnswerEvent, { type: 'done' }>
type Show = Readonly<{ notes: Context['terminal']['notes']; say: SayOfDocs }>

function showSources(end: End, sources: readonly SourceBody[], { notes, say }: Show): void {
  if (sources.length > 0) writeLine(notes, `\n${say('sources')}:`)
  for (const source of sources) writeLine(notes, `  [${source.number}] ${printable(placeOf(source, say))}`)
  for (const { text: sentence, supported, citations, nearest_source: number } of end.sentences) {
    if (supported === false) writeLine(notes, `  ! ${say('unsupported', { sentence: printable(sentence) })}`)
    else if (citations.length === 0 && number !== null)
      writeLine(notes, `  · ${say('likelySource', { number, sentence: printable(sentence) })}`)
  }
}

function placeOf({ document, source, page, last_page: last, section }: SourceBody, say: SayOfDocs): string {
  const pages = page === null ? '' : last === null || last === page ? say('page', { page }) : say('pages', { page, last })
  return [document, document === source ? '' : source, pages, section === document ? '' : (section ?? '')]
    .filter((part) => part !== '')
    .join(' · ')
}
