import type { MergeEvent } from '../client/merge.ts'
import { AppError } from '../errors.ts'
import { type Context, withService, writeLine } from './context.ts'
import { formatBytes } from './format.ts'
import { type SayOfMerge, speakOfMerge } from './merge-messages.ts'
import { createProgressLine } from './progress-line.ts'
import { toQuantization } from './quantize.ts'
import { speakOfQuantize } from './quantize-messages.ts'

type Done = Extract<MergeEvent, { type: 'done' }>

/** `models merge BASE+ADAPTER [NAME]`: makes one model of both. Ending the command ends the work. */
export async function mergeModel(context: Context): Promise<number> {
  const { words, flags, values, terminal, language } = context
  const [model = '', name] = words
  const quantization = values.get('quantization')
  const say = speakOfMerge(language)
  const body = {
    model,
    ...(name === undefined ? {} : { name }),
    ...(quantization === undefined ? {} : { quantization: toQuantization(quantization, speakOfQuantize(language)) }),
  }
  const { type: _, ...answer } = await withService(context, (client) => follow(client.mergeModel(body), context, say))
  if (flags.has('json')) writeLine(terminal.output, JSON.stringify(answer, null, 2))
  else {
    const { model: made, size_bytes: bytes, fallback_tensors: count } = answer
    const values = { name: made, quantization: answer.quantization, size: formatBytes(bytes) }
    writeLine(terminal.notes, say('installed', values))
    if (count > 0) writeLine(terminal.notes, speakOfQuantize(language)('fallback', { count }))
  }
  return 0
}

async function follow(events: AsyncIterable<MergeEvent>, { terminal }: Context, say: SayOfMerge): Promise<Done> {
  const line = createProgressLine(terminal)
  try {
    for await (const event of events) {
      if (event.type === 'done') return event
      const text = event.type === 'merge' ? 'merging' : 'quantizing'
      line.show(event.type, say(text, { done: event.tensor, total: event.tensors }))
    }
  } finally {
    line.end()
  }
  throw new AppError('unavailable', 'The merge ended without a result.')
}
