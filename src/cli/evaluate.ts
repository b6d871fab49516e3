import type { Client } from '../client.ts'
import { AppError } from '../errors.ts'
import type { EvaluationBody, EvaluationItem, ListedEvaluation } from '../evaluation/schema.ts'
import { allPages } from './admin.ts'
import { type Context, withService, writeLine } from './context.ts'
import { type SayOfEvaluation, speakOfEvaluation, stateNames } from './evaluate-messages.ts'
import { formatReport, verdictName } from './evaluate-report.ts'

const mostConversations = 200

/** `train evaluate [MODEL|RUN]`: shows the progress, then the report. Gives 1 when the candidate does not pass. */
export async function evaluateCandidate(context: Context): Promise<number> {
  const { words, values } = context
  const say = speakOfEvaluation(context.language)
  const candidate = words[0]
  if (candidate === undefined && !values.has('run')) throw new AppError('invalid', say('needsCandidate'))
  const given = (['dataset', 'run', 'baseline', 'judge'] as const).flatMap((name) => {
    const value = values.get(name)
    return value === undefined ? [] : [[name, value]]
  })
  const isRun =
    candidate !== undefined && !values.has('run') && (await withService(context, (client) => hasRun(client, candidate)))
  const named = candidate === undefined ? {} : { [isRun ? 'run' : 'candidate']: candidate }
  const body: EvaluationBody = { kind: 'gate', ...named, ...Object.fromEntries(given) }
  const { passed } = await runEvaluation(context, body, say)
  return passed === true ? 0 : 1
}

/** Whether a training run has this name: no model has it, as its adapter answers with its base alone. */
async function hasRun(client: Client, name: string): Promise<boolean> {
  for await (const run of allPages((cursor) => client.trainingRuns(cursor))) if (run.name === name) return true
  return false
}

/** `models compare A B`: both answer the person's last conversations again. */
export async function compareModels(context: Context): Promise<number> {
  const { words, values, language } = context
  const say = speakOfEvaluation(language)
  const [a = '', b = ''] = words
  const [count, judge] = [values.get('conversations'), values.get('judge')]
  const body: EvaluationBody = {
    kind: 'upgrade',
    a,
    b,
    ...(count === undefined ? {} : { conversations: readCount(count, say) }),
    ...(judge === undefined ? {} : { judge }),
  }
  const { state } = await runEvaluation(context, body, say)
  return state === 'completed' ? 0 : 1
}

/** `train evaluations [ID]`. */
export async function showEvaluations(context: Context): Promise<number> {
  const { words, flags, terminal } = context
  const say = speakOfEvaluation(context.language)
  const id = words[0]
  if (id !== undefined) {
    show(context, await withService(context, (client) => client.evaluation(id)), say)
    return 0
  }
  const evaluations = await withService(context, listAll)
  if (flags.has('json')) writeLine(terminal.output, JSON.stringify(evaluations, null, 2))
  else if (evaluations.length === 0) writeLine(terminal.notes, say('none'))
  else for (const one of evaluations) writeLine(terminal.output, lineOf(one, context, say))
  return 0
}

async function listAll(client: Client): Promise<readonly ListedEvaluation[]> {
  const all: ListedEvaluation[] = []
  const load = (cursor: string | undefined) => client.evaluations(cursor === undefined ? {} : { cursor })
  for await (const one of allPages(load)) all.push(one)
  return all
}

function lineOf(one: ListedEvaluation, { language }: Context, say: SayOfEvaluation): string {
  const verdict = one.kind === 'gate' && one.state === 'completed' ? say(verdictName(one.passed)) : ''
  const cells = [one.created_at.slice(0, 16).replace('T', ' '), one.id, one.kind, `${one.candidate} / ${one.baseline}`]
  return [...cells, stateNames[one.state][language], verdict].join('  ').trimEnd()
}

/** Throws `invalid` for what is no whole number within bounds. */
function readCount(value: string, say: SayOfEvaluation): number {
  const count = Number(value)
  if (/^\d+$/.test(value) && count >= 1 && count <= mostConversations) return count
  throw new AppError('invalid', say('badNumber', { name: '--conversations', value, most: mostConversations }))
}

/** Starts it and shows it to its end. It goes on when the command is ended. */
async function runEvaluation(context: Context, body: EvaluationBody, say: SayOfEvaluation): Promise<EvaluationItem> {
  const ended = await withService(context, async (client) => {
    const { id, candidate, baseline } = await client.startEvaluation(body)
    writeLine(context.terminal.notes, say('started', { id, candidate, baseline }))
    return follow(client, id, context, say)
  })
  show(context, ended, say)
  return ended
}

/** On a terminal the progress stays on one line, elsewhere each stage is told once. */
async function follow(client: Client, id: string, { terminal }: Context, say: SayOfEvaluation): Promise<EvaluationItem> {
  const { notes } = terminal
  let stage = ''
  for await (const event of client.watchEvaluation(id)) {
    if (event.type === 'done') {
      if (notes.isTTY === true && stage !== '') writeLine(notes)
      return event.evaluation
    }
    const text = say('stages', { stage: say(event.stage), done: event.done, total: event.total })
    // "\r" goes back to the start of the line, and the escape sequence clears what stood there.
    if (notes.isTTY === true) notes.write(`\r\u001b[K  ${text}`)
    else if (stage !== event.stage) writeLine(notes, `  ${text}`)
    stage = event.stage
  }
  throw new AppError('unavailable', 'The evaluation ended without a result.')
}

function show({ flags, language, terminal }: Context, evaluation: EvaluationItem, say: SayOfEvaluation): void {
  const { report, state, error } = evaluation
  if (flags.has('json')) writeLine(terminal.output, JSON.stringify(evaluation, null, 2))
  else if (report === null) {
    const values = { state: stateNames[state][language], reason: error?.message ?? '' }
    writeLine(terminal.notes, say('notCompleted', values).trim())
  } else for (const line of formatReport(report, language, say)) writeLine(terminal.output, line)
}
