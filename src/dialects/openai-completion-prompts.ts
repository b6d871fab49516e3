import type { GenerateEvent, Usage } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import type { Asker, Completion, OpenAnswer, Predict, PredictRequest } from '../predict/predict.ts'

type Ask = Readonly<{ predict: Predict; questions: readonly PredictRequest[]; asker: Asker; gone: AbortSignal }>

/**
 * Whole answers to several prompts, one prompt after the other, as one: the choices of the second follow those of the first, and the
 * usage is that of all. Throws like `Predict.complete`.
 */
export async function completeInTurn({ predict, questions, asker, gone }: Ask): Promise<Completion> {
  let whole: Completion | undefined
  for (const question of questions) {
    const next = await predict.complete(question, asker, gone)
    whole = whole === undefined ? next : join(whole, next)
  }
  return whole ?? noPrompt()
}

function join(before: Completion, next: Completion): Completion {
  const shift = before.choices.length
  const choices = [...before.choices, ...next.choices.map((choice) => ({ ...choice, index: choice.index + shift }))]
  return { ...before, choices, usage: addUsage(before.usage, next.usage), cached: before.cached && next.cached }
}

/** The same as a stream. Throws like `Predict.open`, for the first prompt; the events throw for those that follow. */
export async function openInTurn(ask: Ask): Promise<OpenAnswer> {
  const { predict, questions, asker, gone } = ask
  const [question = noPrompt(), ...others] = questions
  const first = await predict.open(question, asker, gone)
  return others.length === 0 ? first : { ...first, events: follow(first, question.choices, { ...ask, questions: others }) }
}

async function* follow(first: OpenAnswer, choices: number, ask: Ask): AsyncGenerator<GenerateEvent> {
  let usage: Usage = { promptTokens: 0, completionTokens: 0, cachedPromptTokens: 0 }
  let shift = 0
  let opened = first
  // The first one is its opener's to dispose of, and the others are read as soon as they are there.
  for (const question of [...ask.questions, undefined]) {
    for await (const event of opened.events) {
      if (event.type !== 'generation-end') yield { ...event, index: event.index + shift }
      else {
        usage = addUsage(usage, event.usage)
        if (question === undefined) yield { ...event, usage }
      }
    }
    shift += choices
    if (question !== undefined) opened = await ask.predict.open(question, ask.asker, ask.gone)
  }
}

function addUsage(one: Usage, other: Usage): Usage {
  return {
    promptTokens: one.promptTokens + other.promptTokens,
    completionTokens: one.completionTokens + other.completionTokens,
    cachedPromptTokens: one.cachedPromptTokens + other.cachedPromptTokens,
  }
}

function noPrompt(): never {
  throw new AppError('internal', 'There was no prompt to answer.')
}
