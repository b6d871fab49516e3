import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import type { Client } from '../client.ts'
import { usualCollection } from '../embed/schema.ts'
import { AppError } from '../errors.ts'
import { type Evaluation, evaluate, type Reply } from '../rag/evaluate.ts'
import type { QueryAnswer } from '../rag/query-schema.ts'
import { parseQuestions, type Question } from '../rag/question-set.ts'
import { type Context, withService, writeLine } from './context.ts'
import { type SayOfDocsEval, speakOfDocsEval } from './docs-eval-messages.ts'
import { formatEvaluations, toReport } from './docs-eval-report.ts'

const modes = ['hybrid', 'vector', 'words'] as const
type Mode = (typeof modes)[number]

/** As many as MRR@10 looks at; an answer gets the usual number of sources. */
const usualK = 10
const usualAnswerK = 5
const mostK = 50

type Settings = Readonly<{ collection: string | undefined; k: number; modes: readonly Mode[]; answer: boolean }>

/** `docs eval`: asks the service each question of a set in each mode, and shows how well it found the right documents. */
export async function evalDocuments(context: Context): Promise<number> {
  const { values, flags, terminal, language } = context
  const say = speakOfDocsEval(language)
  const wanted = values.get('make')
  if (wanted !== undefined) return (await import('./docs-eval-make.ts')).makeQuestionSet(context, wanted, say)
  const settings = readSettings(context, say)
  const questions = await readQuestions(context, say)
  const evaluations = new Map<Mode, Evaluation>()
  await withService(context, async (client) => {
    for (const mode of settings.modes)
      evaluations.set(mode, await evaluateMode({ client, context, settings, say }, mode, questions))
  })
  const { k, collection = usualCollection } = settings
  const report = toReport(evaluations, { questions: values.get('questions'), split: values.get('split') ?? null, collection, k })
  if (flags.has('json')) writeLine(terminal.output, JSON.stringify(report, null, 2))
  else for (const line of formatEvaluations(evaluations, language, say)) writeLine(terminal.output, line)
  const file = values.get('output')
  if (file === undefined) return 0
  await writeFile(file, `${JSON.stringify(report, null, 2)}\n`).catch((cause: unknown) => {
    throw new AppError('invalid', say('unwritableFile', { file }), { cause })
  })
  writeLine(terminal.notes, say('written', { file }))
  return 0
}

function readSettings({ values, flags }: Context, say: SayOfDocsEval): Settings {
  const answer = flags.has('answer')
  const wanted = (values.get('modes') ?? modes.join(',')).split(',').map((name) => name.trim())
  return {
    collection: values.get('collection'),
    k: readNumber('--k', values.get('k') ?? String(answer ? usualAnswerK : usualK), mostK, say),
    modes: [...new Set(wanted)].map((value) => {
      const mode = modes.find((known) => known === value)
      if (mode === undefined) throw new AppError('invalid', say('badMode', { value, known: modes.join(', ') }))
      return mode
    }),
    answer,
  }
}

/** Throws `invalid` for what is no whole number from 1 to `most`. */
export function readNumber(name: string, value: string, most: number, say: SayOfDocsEval): number {
  const number = Number(value)
  if (/^\d+$/.test(value) && number >= 1 && number <= most) return number
  throw new AppError('invalid', say('badNumber', { name, value, most }))
}

async function readQuestions({ values }: Context, say: SayOfDocsEval): Promise<readonly Question[]> {
  const file = values.get('questions')
  if (file === undefined) throw new AppError('invalid', say('needsQuestions'))
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new AppError('invalid', say('unreadableFile', { file }), { cause })
  })
  const split = values.get('split')
  const questions = parseQuestions(text).filter((question) => split === undefined || question.split === split)
  if (split !== undefined && questions.length === 0) throw new AppError('invalid', say('noSplit', { value: split }))
  return questions
}

type Parts = Readonly<{ client: Client; context: Context; settings: Settings; say: SayOfDocsEval }>

function evaluateMode(parts: Parts, mode: Mode, questions: readonly Question[]): Promise<Evaluation> {
  const { client, context, settings, say } = parts
  const { notes } = context.terminal
  const { collection, k, answer } = settings
  const ask = async ({ question }: Question): Promise<Reply> => {
    const body = { question, k, mode, answer, store: false, ...(collection === undefined ? {} : { collection }) }
    return inTurn(
      async () => {
        const start = performance.now()
        const reply = await client.askDocuments(body)
        return toReply(reply, (performance.now() - start) / 1000, answer)
      },
      (seconds) => writeLine(notes, say('waiting', { seconds })),
    )
  }
  // "\r" goes back to the start of the line, and the escape sequence clears what stood there.
  const report = (done: number) => {
    if (notes.isTTY === true)
      notes.write(`\r\u001b[K${done < questions.length ? say('asking', { mode, done, total: questions.length }) : ''}`)
  }
  return evaluate(questions, { ask, k, report }, new AbortController().signal)
}

function toReply({ answer, abstained, citations, sources }: QueryAnswer, seconds: number, isAnswered: boolean): Reply {
  return {
    sources: sources.map(({ number, source }) => ({ number, source })),
    seconds,
    ...(isAnswered ? { answer: { text: answer, abstained, citations: citations.map(({ number }) => number) } } : {}),
  }
}

/** Tries again for as long as the service says that it has had too many requests, each time after the seconds that it names. */
export async function inTurn<T>(work: () => Promise<T>, tellWait: (seconds: number) => void): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'rate_limited' || error.retryAfterSeconds === undefined) throw error
      tellWait(error.retryAfterSeconds)
      await setTimeout(error.retryAfterSeconds * 1000)
    }
  }
}
