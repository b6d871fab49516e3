import { readFile } from 'node:fs/promises'
import type { QuantizeEvent } from '../client.ts'
import { isQuantization, type Quantization, quantizationNames } from '../engine/quantization.ts'
import { AppError } from '../errors.ts'
import type { QuantizeReport } from '../models/quantize-report.ts'
import { type Context, withService, writeLine } from './context.ts'
import { formatBytes } from './format.ts'
import { createProgressLine } from './progress-line.ts'
import { type SayOfQuantize, speakOfQuantize } from './quantize-messages.ts'

type Done = Extract<QuantizeEvent, { type: 'done' }>

/** `models quantize MODEL QUANTIZATION`: shows the progress, then the report. Ending the command ends the work. */
export async function quantizeModel(context: Context): Promise<number> {
  const { words, flags, values, terminal } = context
  const [model = '', quantization = ''] = words
  const say = speakOfQuantize(context.language)
  const name = values.get('name')
  const [text, calibration] = await Promise.all([readText(values.get('text'), say), readText(values.get('calibration'), say)])
  const body = {
    model,
    quantization: toQuantization(quantization, say),
    report: !flags.has('no-report'),
    ...(name === undefined ? {} : { name }),
    ...(text === undefined ? {} : { text }),
    ...(calibration === undefined ? {} : { calibration_text: calibration }),
  }
  const done = await withService(context, (client) => follow(client.quantizeModel(body), context, say))
  if (flags.has('json')) {
    const { type: _, ...answer } = done
    writeLine(terminal.output, JSON.stringify(answer, null, 2))
    return 0
  }
  writeLine(terminal.notes, say('installed', { name: done.model, size: formatBytes(done.size_bytes) }))
  if (done.fallback_tensors > 0) writeLine(terminal.notes, say('fallback', { count: done.fallback_tensors }))
  if (done.report_error !== undefined) writeLine(terminal.notes, say('noReport', { reason: done.report_error.message }))
  if (done.report !== null) writeTable(context, done.report, say)
  return 0
}

/** `models report MODEL`. */
export async function showModelReport(context: Context): Promise<number> {
  const { words, flags, terminal } = context
  const [name = ''] = words
  const report = await withService(context, (client) => client.modelReport(name))
  if (flags.has('json')) writeLine(terminal.output, JSON.stringify(report, null, 2))
  else writeTable(context, report, speakOfQuantize(context.language))
  return 0
}

export function toQuantization(given: string, say: SayOfQuantize): Quantization {
  const name = given.toUpperCase()
  if (isQuantization(name)) return name
  throw new AppError('invalid', say('badQuantization', { name: given, known: quantizationNames.join(', ') }))
}

async function readText(file: string | undefined, say: SayOfQuantize): Promise<string | undefined> {
  if (file === undefined) return undefined
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new AppError('invalid', say('unreadableFile', { file }), { cause })
  })
}

async function follow(events: AsyncIterable<QuantizeEvent>, { terminal }: Context, say: SayOfQuantize): Promise<Done> {
  const line = createProgressLine(terminal)
  try {
    for await (const event of events) {
      if (event.type === 'done') return event
      line.show(event.type, progressOf(event, say))
    }
  } finally {
    line.end()
  }
  throw new AppError('unavailable', 'The quantization ended without a result.')
}

function progressOf(event: Exclude<QuantizeEvent, Done>, say: SayOfQuantize): string {
  switch (event.type) {
    case 'calibrate':
      return say('calibrating', { done: event.chunk, total: event.chunks })
    case 'tensor':
      return say('quantizing', { done: event.tensor, total: event.tensors })
    case 'measure':
      return say('measuring', { done: event.chunk, total: event.chunks })
  }
}

/** What it is, of the original, of the result. */
type Row = readonly [string, string, string]

function writeTable({ language, terminal }: Context, { original, result }: QuantizeReport, say: SayOfQuantize): void {
  const number = (value: number, digits: number) =>
    value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits })
  const both = (name: Parameters<SayOfQuantize>[0], format: (row: QuantizeReport['original']) => string): Row => [
    say(name),
    format(original),
    format(result),
  ]
  const rows: readonly Row[] = [
    ['', say('original'), say('result')],
    both('model', ({ model }) => model),
    both('quantization', ({ quantization }) => quantization),
    both('size', ({ size_bytes: bytes }) => formatBytes(bytes)),
    both('bitsPerWeight', ({ bits_per_weight: bits }) => number(bits, 2)),
    both('speed', ({ tokens_per_second: speed }) => number(speed, 0)),
    both('perplexity', (row) => `${number(row.perplexity, 2)} ± ${number(row.perplexity_error, 2)}`),
    [say('divergence'), '', `${number(result.kl_divergence, 4)} ± ${number(result.kl_divergence_error, 4)}`],
    [say('agreement'), '', `${number(result.top_agreement * 100, 1)} %`],
  ]
  const widthOf = (column: 0 | 1) => Math.max(...rows.map((row) => row[column].length))
  const [wide, half] = [widthOf(0), widthOf(1)]
  for (const [name, before, after] of rows)
    writeLine(terminal.output, `${name.padEnd(wide)}  ${before.padEnd(half)}  ${after}`.trimEnd())
}
