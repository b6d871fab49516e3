import type { TrainingEvent } from '../client/training.ts'
import type { Client } from '../client.ts'
import type { EpochAnswer, RunAnswer, StepAnswer } from '../training/schema.ts'
import { type Context, printable, writeLine } from './context.ts'
import { formatBytes, formatSeconds } from './format.ts'
import { type SayOfTraining, speakOfTraining, stateNames } from './train-messages.ts'

type Screen = Pick<Context, 'terminal' | 'language'>

/** Shows a run until it comes to rest, or until the person has seen enough: then it says how to look again. Gives how it stands. */
export async function followTraining(
  client: Pick<Client, 'watchTraining'>,
  run: RunAnswer,
  context: Screen,
  signal: AbortSignal,
): Promise<RunAnswer> {
  const say = speakOfTraining(context.language)
  const { notes } = context.terminal
  const screen = createScreen(context, run, say)
  try {
    for await (const event of client.watchTraining(run.id, signal)) screen.show(event)
  } catch (error) {
    if (!signal.aborted) throw error
    screen.clear()
    writeLine(notes, say('goesOn', { name: run.name }))
  }
  return screen.last()
}

/** On a terminal the steps stay on one line; elsewhere epochs tell enough. */
function createScreen({ terminal, language }: Screen, first: RunAnswer, say: SayOfTraining) {
  const { notes } = terminal
  const isTerminal = notes.isTTY === true
  let run = first
  let told = ''
  let isOpen = false

  function clear(): void {
    // "\r" goes back to the start of the line, and the escape sequence clears what stood there.
    if (isOpen) notes.write('\r\u001b[K')
    isOpen = false
  }
  function write(text: string): void {
    clear()
    writeLine(notes, text)
  }
  /** Each is told once in a row. */
  function tell(text: string): void {
    if (text !== told) write(text)
    told = text
  }
  function overwrite(text: string): void {
    if (!isTerminal) return
    clear()
    notes.write(`  ${text}`)
    isOpen = true
  }

  function showRun(next: RunAnswer): void {
    const isNews = next.plan !== null && (run.plan === null || run === first)
    run = next
    if (run.state === 'queued') tell(say('queued', { count: run.queue_position ?? 0 }))
    else if (run.state === 'running') showRunning(run, isNews)
  }
  function showRunning({ yielding, plan }: RunAnswer, isNews: boolean): void {
    if (plan === null) tell(say('preparing'))
    else if (isNews) tell(planText(plan, say))
    if (yielding) overwrite(say('yielding'))
  }
  function showStep({ step, loss, tokens, ms }: StepAnswer): void {
    const speed = ms > 0 ? Math.round((tokens / ms) * 1000) : 0
    overwrite(say('step', { step, steps: run.plan?.steps ?? '?', loss: loss.toFixed(4), speed }))
  }
  function showEnd(): void {
    const { state, error, served_as: model, name } = run
    const time = formatSeconds(run.trained_seconds)
    // What was learned may have been removed since.
    if (state === 'completed' && model !== null) {
      write(say('completed', { time, model: printable(model) }))
      write(say('nextStep', { name: printable(name) }))
    } else write(say('ended', { state: stateNames[state][language] }))
    if (error !== null) write(say('reason', { reason: printable(error.message) }))
    if (state === 'paused' || state === 'interrupted') write(say('canResume', { name }))
  }

  function show(event: TrainingEvent): void {
    switch (event.type) {
      case 'run':
        showRun(event.run)
        break
      case 'step':
        showStep(event.step)
        break
      case 'epoch':
        write(epochText(event.epoch, say))
        break
      case 'resume':
        write(say('resumed', { step: event.step }))
        break
      case 'done':
        run = event.run
        showEnd()
        break
    }
  }

  return { clear, last: () => run, show }
}

function planText(plan: NonNullable<RunAnswer['plan']>, say: SayOfTraining): string {
  const { examples, too_long: tooLong, empty, held_out: heldOut, steps, tokens, memory_bytes: bytes, seconds } = plan
  return say('plan', {
    examples,
    left: tooLong + empty,
    heldOut,
    steps,
    tokens,
    memory: formatBytes(bytes),
    time: formatSeconds(seconds),
  })
}

function epochText({ epoch, step, train_loss: loss, held_out_loss: heldOut }: EpochAnswer, say: SayOfTraining): string {
  return say('epoch', { epoch, step, loss: loss.toFixed(4), heldOut: heldOut?.toFixed(4) ?? '–' })
}
