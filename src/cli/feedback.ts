import { once } from 'node:events'
import type { FeedbackFilter, FeedbackItem } from '../client/predictions.ts'
import { allPages } from './admin.ts'
import { type Context, printable, withService, writeLine } from './context.ts'
import { speakOfPredictions } from './predictions-messages.ts'

/** `admin feedback`: for people, or as JSON lines exactly as stored. */
export async function showFeedback(context: Context): Promise<number> {
  const { say, terminal, flags, values, language } = context
  const sayMore = speakOfPredictions(language)
  const filter: FeedbackFilter = {
    ...Object.fromEntries(
      ['rating', 'tag', 'model', 'from', 'to'].flatMap((name) => (values.has(name) ? [[name, values.get(name)]] : [])),
    ),
    ...(flags.has('corrected') ? { has_correction: 'true' } : {}),
  }
  return withService(context, async (client) => {
    if (flags.has('jsonl')) {
      for await (const chunk of client.exportFeedback(filter))
        if (!terminal.output.write(chunk)) await once(terminal.output, 'drain')
      return 0
    }
    let count = 0
    for await (const item of allPages((cursor) => client.listFeedback(cursor, filter))) {
      count += 1
      writeLine(terminal.output, `${describe(item, sayMore).map(printable).join('\n  ')}\n`)
    }
    if (count === 0) writeLine(terminal.notes, say('noFeedback'))
    return 0
  })
}

function describe(item: FeedbackItem, say: ReturnType<typeof speakOfPredictions>): readonly string[] {
  const { created_at, rating, text, correction, tags, prediction_id: id, rejected_prediction_id: rejected } = item
  const head = [created_at, ...(rating === null ? [] : [rating]), ...tags.map((tag) => `#${tag}`)].join('  ')
  return [
    head,
    ...(id === null ? [] : [say(rejected === null ? 'onPrediction' : 'keptOver', { id, rejected: rejected ?? '' })]),
    ...(text === null ? [] : [text]),
    ...(correction === null ? [] : [`→ ${correction}`]),
  ]
}
