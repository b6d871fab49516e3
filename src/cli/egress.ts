import type { EgressFilter, EgressItem } from '../client.ts'
import { type Context, printable, withService, writeLine } from './context.ts'
import { formatBytes, formatDollars } from './format.ts'

/** `admin egress`: what left this machine, newest first, and the sums. */
export async function showEgress(context: Context): Promise<number> {
  const { say, terminal, flags, values } = context
  const filter: EgressFilter = { limit: '200', ...pick(values) }
  return withService(context, async (client) => {
    const items: EgressItem[] = []
    let page = await client.listEgress(filter)
    const { totals, local_only: localOnly } = page
    for (;;) {
      items.push(...page.items)
      if (page.next_cursor === null) break
      page = await client.listEgress(filter, page.next_cursor)
    }
    if (flags.has('json')) {
      writeLine(terminal.output, JSON.stringify({ items, totals, local_only: localOnly }, null, 2))
      return 0
    }
    for (const item of items) writeLine(terminal.output, toLine(item, context))
    if (localOnly) writeLine(terminal.notes, say('egressLocalOnly'))
    if (items.length === 0) writeLine(terminal.notes, say('noEgress'))
    else {
      const traffic = { out: formatBytes(totals.bytes_out), in: formatBytes(totals.bytes_in) }
      const cost = formatDollars(totals.cost_microdollars)
      writeLine(terminal.notes, say('egressTotals', { errands: totals.errands, requests: totals.requests, ...traffic, cost }))
    }
    if (totals.unpriced_answers > 0) writeLine(terminal.notes, say('egressUnpriced', { count: totals.unpriced_answers }))
    return 0
  })
}

function pick(values: ReadonlyMap<string, string>): EgressFilter {
  return Object.fromEntries(['from', 'to', 'user'].flatMap((name) => (values.has(name) ? [[name, values.get(name)]] : [])))
}

function toLine(item: EgressItem, { say }: Context): string {
  const { user, username, provider, model, state, status, cost_microdollars: cost } = item
  const traffic = say('egressTraffic', { out: formatBytes(item.bytes_out), in: formatBytes(item.bytes_in) })
  const columns = [
    item.started_at,
    item.purpose,
    user === null ? '-' : username === null ? user : `${username} (${user})`,
    [provider, model].filter((name) => name !== null).join(' ') || '-',
    item.hosts.join(', '),
    state === 'open' ? say('egressOpen') : state === 'interrupted' ? say('egressInterrupted') : String(status ?? '-'),
    traffic,
    cost === null ? '-' : formatDollars(cost),
  ]
  // A tab or line break inside of a name would make columns and lines of its own.
  return columns.map((text) => printable(text).replace(/[\t\n]/g, ' ')).join('\t')
}
