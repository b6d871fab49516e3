import type { EgressItem, EgressPage } from '../../../src/client.ts'
import { toCsv } from '../csv.ts'

const columns = [
  'started_at',
  'state',
  'purpose',
  'user',
  'username',
  'provider',
  'model',
  'hosts',
  'requests',
  'status',
  'bytes_out',
  'bytes_in',
  'prompt_tokens',
  'completion_tokens',
  'cost_microdollars',
  'duration_ms',
] as const satisfies readonly (keyof EgressItem)[]

export const mostLines = 20_000

type Load = (cursor: string | undefined) => Promise<Pick<EgressPage, 'items' | 'next_cursor'>>

/** All pages as one file, newest first, up to `mostLines`; `isCut` where there are more. Tells how many lines it has. */
export async function collectCsv(load: Load, onLines: (count: number) => void) {
  const items: EgressItem[] = []
  let cursor: string | undefined
  do {
    const page = await load(cursor)
    items.push(...page.items)
    cursor = page.next_cursor ?? undefined
    onLines(items.length)
  } while (cursor !== undefined && items.length < mostLines)
  const rows = items.map((item) =>
    columns.map((name) => {
      const value = item[name]
      return typeof value === 'object' && value !== null ? value.join(' ') : value
    }),
  )
  return { csv: toCsv([columns, ...rows]), isCut: cursor !== undefined }
}
