import type { PredictionBody, PredictionsFilter } from '../client/predictions.ts'
import type { PredictionItem } from '../predictions/schema.ts'
import { allPages } from './admin.ts'
import { type Context, printable, withService, writeLine } from './context.ts'
import { speakOfPredictions } from './predictions-messages.ts'

/** `predictions list` */
export async function listPredictions(context: Context): Promise<number> {
  const { terminal, flags, values, language } = context
  const filter: PredictionsFilter = {
    limit: '200',
    ...Object.fromEntries(
      ['rating', 'model', 'from', 'to'].flatMap((name) => (values.has(name) ? [[name, values.get(name)]] : [])),
    ),
  }
  return withService(context, async (client) => {
    const items: PredictionItem[] = []
    for await (const item of allPages((cursor) => client.listPredictions(filter, cursor))) items.push(item)
    if (flags.has('json')) writeLine(terminal.output, JSON.stringify(items, null, 2))
    else if (items.length === 0) writeLine(terminal.notes, speakOfPredictions(language)('noPredictions'))
    else for (const item of items) writeLine(terminal.output, toLine(item))
    return 0
  })
}

/** A tab or line break inside of a text would make columns and lines of its own. */
function toLine({ id, created_at, model, rating, question, answer }: PredictionItem): string {
  return [id, created_at, model, rating ?? '-', question, answer]
    .map((text) => printable(text).replace(/\s+/g, ' ').slice(0, 80))
    .join('\t')
}

/** `predictions show ID` */
export async function showPrediction(context: Context): Promise<number> {
  const { words, terminal, flags, language } = context
  const [id = ''] = words
  const say = speakOfPredictions(language)
  return withService(context, async (client) => {
    const prediction = await client.prediction(id)
    if (flags.has('json')) {
      writeLine(terminal.output, JSON.stringify(prediction, null, 2))
      return 0
    }
    const { created_at, provider, model, ran_on, rating, choices } = prediction
    writeLine(terminal.notes, printable([created_at, provider, model, ran_on, rating ?? '-'].join('  ')))
    writeLine(terminal.output, `${say('asked')}:\n${printable(questionOf(prediction))}\n`)
    for (const { text } of choices) writeLine(terminal.output, `${say('answered')}:\n${printable(text)}\n`)
    return 0
  })
}

/** The text, or the messages one after the other. */
function questionOf({ prompt }: PredictionBody): string {
  if (typeof prompt.text === 'string') return prompt.text
  const messages = Array.isArray(prompt.messages) ? prompt.messages : []
  return messages.map(({ role, content }) => `${role}: ${content}`).join('\n')
}

/** `predictions delete ID`, `predictions delete --all` */
export async function deletePredictions(context: Context): Promise<number> {
  const { words, terminal, flags, language } = context
  const say = speakOfPredictions(language)
  const [id] = words
  if ((id === undefined) !== flags.has('all')) {
    writeLine(terminal.notes, say('idOrAll'))
    return 2
  }
  return withService(context, async (client) => {
    const count = id === undefined ? (await client.removePredictions()).deleted : 1
    if (id !== undefined) await client.removePrediction(id)
    writeLine(terminal.notes, say('forgotten', { count }))
    return 0
  })
}

/** `predictions on`, `predictions off` */
export async function storePredictions(context: Context, store: boolean): Promise<number> {
  const { terminal, language } = context
  const say = speakOfPredictions(language)
  return withService(context, async (client) => {
    const settings = await client.storePredictions(store)
    writeLine(terminal.notes, say(settings.store ? 'storesOn' : 'storesOff'))
    if (!settings.service_stores) writeLine(terminal.notes, say('serviceStoresNothing'))
    else if (settings.store && settings.retention_days !== null)
      writeLine(terminal.notes, say('keptDays', { days: settings.retention_days }))
    return 0
  })
}
