import type { Client } from '../client.ts'
import { AppError } from '../errors.ts'
import type { RunAnswer } from '../training/schema.ts'
import { allPages } from './admin.ts'
import { type Context, printable, refusal, withService, writeLine } from './context.ts'
import { formatBytes, formatSeconds } from './format.ts'
import { waitForStop } from './stop-signals.ts'
import { followTraining } from './train-follow.ts'
import { type SayOfTraining, speakOfTraining, stateNames } from './train-messages.ts'
import { toNewRun } from './train-request.ts'

type Stop = Readonly<{ signal: AbortSignal }>

/** `train start`, `trainer`: follows the run to its end, unless it is told not to; ending the command does not end the run. */
export async function startTraining(context: Context, stop: Stop = waitForStop(context)): Promise<number> {
  const { flags, terminal, language } = context
  const say = speakOfTraining(language)
  const body = toNewRun(context, say)
  return withService(context, async (client) => {
    const run = await client.startTraining(body)
    writeLine(terminal.notes, say('started', startedValues(run)))
    const end = flags.has('detach') ? run : await followTraining(client, run, context, stop.signal)
    if (flags.has('json')) writeLine(terminal.output, JSON.stringify(end, null, 2))
    return flags.has('detach') ? 0 : codeOf(end, stop)
  })
}

function startedValues({ id, name, model, dataset }: RunAnswer) {
  return { id, name, model: printable(model), dataset: printable(`${dataset.name}:${dataset.version}`) }
}

/** `train watch RUN` */
export async function watchTraining(context: Context, stop: Stop = waitForStop(context)): Promise<number> {
  const say = speakOfTraining(context.language)
  return withService(context, async (client) => {
    const run = await getRun(client, context, say)
    writeLine(context.terminal.notes, say('started', startedValues(run)))
    return codeOf(await followTraining(client, run, context, stop.signal), stop)
  })
}

const stoppedCode = 130

/** A run that did not come to its end is no success. */
function codeOf({ state }: RunAnswer, { signal }: Stop): number {
  if (state === 'completed') return 0
  return signal.aborted ? stoppedCode : 1
}

/** `train list` */
export async function listTraining(context: Context): Promise<number> {
  const { terminal, flags, language } = context
  const say = speakOfTraining(language)
  return withService(context, async (client) => {
    const runs: RunAnswer[] = []
    for await (const run of allPages((cursor) => client.trainingRuns(cursor))) runs.push(run)
    if (flags.has('json')) writeLine(terminal.output, JSON.stringify(runs, null, 2))
    else if (runs.length === 0) writeLine(terminal.notes, say('noRuns'))
    else for (const run of runs) writeLine(terminal.output, lineOf(run, context))
    return 0
  })
}

function lineOf({ id, name, state, model, dataset, step, plan, loss }: RunAnswer, { language }: Context): string {
  const steps = plan === null ? String(step) : `${step}/${plan.steps}`
  const parts = [
    id,
    name,
    stateNames[state][language],
    model,
    `${dataset.name}:${dataset.version}`,
    steps,
    loss?.toFixed(4) ?? '–',
  ]
  return parts.map(printable).join('\t')
}

/** `train show RUN` */
export async function showTraining(context: Context): Promise<number> {
  const say = speakOfTraining(context.language)
  return withService(context, async (client) => {
    const run = await getRun(client, context, say)
    if (context.flags.has('json')) writeLine(context.terminal.output, JSON.stringify(run, null, 2))
    else writeRun(run, context, say)
    return 0
  })
}

function writeRun(run: RunAnswer, { terminal, language }: Context, say: SayOfTraining): void {
  const { parameters, plan, error, dataset } = run
  const chosen = Object.entries(parameters).map(([name, value]) => `${name}=${Array.isArray(value) ? value.join(',') : value}`)
  const bytes = run.resident_bytes ?? plan?.memory_bytes
  const rows: ReadonlyArray<readonly [string, string | undefined]> = [
    ['id', run.id],
    [say('state'), stateNames[run.state][language]],
    [say('model'), run.model],
    [say('dataset'), `${dataset.name}:${dataset.version}`],
    [say('progress'), plan === null ? String(run.step) : `${run.step}/${plan.steps}`],
    [say('loss'), run.loss?.toFixed(4)],
    [say('heldOutLoss'), run.held_out_loss?.toFixed(4)],
    [say('trained'), formatSeconds(run.trained_seconds)],
    [say('yielded'), run.yielded_seconds > 0 ? formatSeconds(run.yielded_seconds) : undefined],
    [say('memory'), bytes === undefined ? undefined : formatBytes(bytes)],
    [say('answersAs'), run.served_as ?? undefined],
    [say('parameters'), chosen.join(' ')],
  ]
  const shown = rows.filter(([, value]) => value !== undefined)
  const width = Math.max(...shown.map(([name]) => name.length))
  for (const [name, value = ''] of shown) writeLine(terminal.output, `${name.padEnd(width)}  ${printable(value)}`)
  if (error !== null) writeLine(terminal.output, say('reason', { reason: printable(error.message) }))
}

/** `train pause|cancel|resume RUN` */
export async function changeTraining(context: Context, change: 'cancel' | 'pause' | 'resume'): Promise<number> {
  const { terminal, flags, language } = context
  const say = speakOfTraining(language)
  return withService(context, async (client) => {
    const run = await client.changeTraining((await getRun(client, context, say)).id, change)
    if (flags.has('json')) writeLine(terminal.output, JSON.stringify(run, null, 2))
    else if (run.stopping) writeLine(terminal.notes, say('stopping', { name: run.name }))
    else writeLine(terminal.notes, say('ended', { state: stateNames[run.state][language] }))
    return 0
  })
}

/** `train delete RUN` */
export async function deleteTraining(context: Context): Promise<number> {
  const say = speakOfTraining(context.language)
  return withService(context, async (client) => {
    const { id, name } = await getRun(client, context, say)
    await client.removeTraining(id)
    writeLine(context.terminal.notes, say('removed', { name }))
    return 0
  })
}

/** The run of the command's first word: its id or its name. */
async function getRun(client: Client, { words }: Context, say: SayOfTraining): Promise<RunAnswer> {
  const [given = ''] = words
  const found = await client.trainingRun(given).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'not_found') return undefined
    throw error
  })
  if (found !== undefined) return found
  for await (const run of allPages((cursor) => client.trainingRuns(cursor))) if (run.name === given) return run
  throw refusal('not_found', say('unknownRun', { name: given }))
}
