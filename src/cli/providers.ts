import type { ModelAnswer } from '../client.ts'
import { type Context, printable, withService, writeLine } from './context.ts'

/** `models use [MODEL] [--provider NAME]`: what answers who names nothing, until another is selected. */
export async function useModel(context: Context): Promise<number> {
  const { words, values, say, terminal } = context
  const [name] = words
  const provider = values.get('provider')
  if (name === undefined && provider === undefined) {
    writeLine(terminal.notes, say('wrongArguments', { usage: 'models use [MODEL] [--provider NAME]' }))
    return 2
  }
  const body = { ...(name === undefined ? {} : { model_name: name }), ...(provider === undefined ? {} : { provider }) }
  return withService(context, async (client) => {
    writeLine(terminal.notes, describeModel(await client.select(body), say))
    return 0
  })
}

/** `models providers`: who can answer, and the routes between them. */
export async function listProviders(context: Context): Promise<number> {
  const { say, terminal, flags } = context
  return withService(context, async (client) => {
    const listed = await client.providers()
    if (flags.has('json')) {
      writeLine(terminal.output, JSON.stringify(listed, null, 2))
      return 0
    }
    for (const { name, ran_on: ranOn, selected, models } of listed.providers) {
      const state = selected ? [say('inUse')] : []
      const columns = [name, say(ranOn === 'local' ? 'runsHere' : 'runsInCloud'), models.join(', ') || '-', ...state]
      writeLine(terminal.output, columns.map(printable).join('\t'))
    }
    for (const route of listed.routes) writeLine(terminal.output, printable(`${route}\t${say('isRoute')}`))
    return 0
  })
}

/** What answers now, and, where that is elsewhere, that it is. */
export function describeModel({ model_name: name, provider, ran_on: ranOn }: ModelAnswer, say: Context['say']): string {
  if (name === null) return say('noModelInUse')
  const values = { name: printable(name), provider: printable(provider) }
  return say(ranOn === 'cloud' ? 'modelInCloud' : provider === 'hf' ? 'modelInUse' : 'modelElsewhere', values)
}
