import type { LogLine } from '../../../src/admin/schema.ts'

/** As many lines as a page holds. */
export const mostLines = 1000

export type ShownLine = Readonly<{ id: number; line: LogLine /** What else it holds. */; rest: string }>

export type LogWindow = ReturnType<typeof createLogWindow>

/** The last lines of a log, each once, also where a stream begins anew and tells of the last ones again. */
export function createLogWindow(most = mostLines) {
  let lines: readonly ShownLine[] = []
  let known: ReadonlySet<string> = new Set()
  let cleared: readonly ShownLine[] = []
  let lastId = 0
  return {
    lines: () => lines,
    /** What comes next may hold what has come. */
    restart() {
      known = new Set([...cleared, ...lines].map(({ line }) => keyOf(line)))
    },
    /** What has been cleared stays away, also when it is told again. */
    clear() {
      cleared = [...cleared, ...lines].slice(-most)
      lines = []
    },
    /** Gives how many of them were new. */
    add(added: readonly LogLine[]): number {
      const fresh = added.filter((line) => !known.has(keyOf(line)))
      const shown = fresh.slice(-most).map((line) => {
        lastId += 1
        return { id: lastId, line, rest: restOf(line) }
      })
      lines = [...lines, ...shown].slice(-most)
      return fresh.length
    },
  }
}

const keyOf = ({ at, level, message, fields }: LogLine) => JSON.stringify([at, level, message, fields])

/** The further fields as `name=value`. */
export function restOf({ fields }: Pick<LogLine, 'fields'>): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${typeof value === 'string' && /^\S+$/.test(value) ? value : JSON.stringify(value)}`)
    .join(' ')
}

/** Whether a line holds the text, in small or capital letters. */
export function holds({ line, rest }: ShownLine, wanted: string): boolean {
  return `${line.at} ${line.level} ${line.message} ${rest}`.toLowerCase().includes(wanted.trim().toLowerCase())
}
