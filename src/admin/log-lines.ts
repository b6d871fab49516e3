import { type LogLine, type LogsQuery, logLevels } from './schema.ts'

export type Level = LogLine['level']

export interface LogLines {
  /** A line as it is logged. */
  write(line: string): void
  /** The last so many of a level or worse, oldest first. */
  list(filter: Pick<LogsQuery, 'limit' | 'level'>): LogLine[]
  /** The same, then what comes, until the signal says so or all is over. */
  follow(filter: Pick<LogsQuery, 'limit' | 'level'>, gone: AbortSignal): AsyncGenerator<LogLine>
  /** Ends all who follow. */
  close(): Promise<void>
}

const keptLines = 1000
/** Of a line that is longer the rest is not kept. */
const mostCharacters = 8000
/** Lines that wait for one who reads slowly; past these the newest are left out. */
const mostWaiting = 500

type Follower = { readonly least: number; readonly waiting: string[]; leftOut: number; wake: () => void }

/** The last lines of the log, in memory. */
export function createLogLines(now: () => number): LogLines {
  const lines: string[] = []
  const followers = new Set<Follower>()
  const closing = new AbortController()

  function list({ limit, level = 'debug' }: Pick<LogsQuery, 'limit' | 'level'>): LogLine[] {
    const least = rankOf(level)
    const found: LogLine[] = []
    for (let index = lines.length - 1; index >= 0 && found.length < limit; index -= 1) {
      const line = readLine(lines[index] ?? '', now)
      if (rankOf(line.level) >= least) found.push(line)
    }
    return found.reverse()
  }

  async function* follow(filter: Pick<LogsQuery, 'limit' | 'level'>, gone: AbortSignal): AsyncGenerator<LogLine> {
    const over = AbortSignal.any([gone, closing.signal])
    const follower: Follower = { least: rankOf(filter.level ?? 'debug'), waiting: [], leftOut: 0, wake: () => {} }
    const wakeUp = () => follower.wake()
    // Before the last ones are told: none is to fall between.
    const past = list(filter)
    followers.add(follower)
    over.addEventListener('abort', wakeUp)
    try {
      yield* past
      while (!over.aborted) {
        for (let text = follower.waiting.shift(); text !== undefined; text = follower.waiting.shift()) {
          const line = readLine(text, now)
          if (rankOf(line.level) >= follower.least) yield line
        }
        if (follower.leftOut > 0) yield takeLeftOut(follower, now())
        else await something(follower, over)
      }
    } finally {
      followers.delete(follower)
      over.removeEventListener('abort', wakeUp)
    }
  }

  return {
    write(whole) {
      const line = whole.length > mostCharacters ? whole.slice(0, mostCharacters) : whole
      lines.push(line)
      // Seldom, as it moves them all.
      if (lines.length > 2 * keptLines) lines.splice(0, lines.length - keptLines)
      for (const follower of followers) {
        if (follower.waiting.length < mostWaiting) follower.waiting.push(line)
        else follower.leftOut += 1
        follower.wake()
      }
    },
    list,
    follow,
    async close() {
      closing.abort()
    },
  }
}

function something(follower: Follower, over: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    follower.wake = resolve
    if (over.aborted || follower.waiting.length > 0 || follower.leftOut > 0) resolve()
  })
}

function takeLeftOut(follower: Follower, nowMs: number): LogLine {
  const { leftOut } = follower
  follower.leftOut = 0
  const message = `${leftOut} lines were left out here: they came faster than they were read.`
  return { at: new Date(nowMs).toISOString(), level: 'warn', message, fields: { left_out: leftOut } }
}

const rankOf = (level: Level): number => logLevels.indexOf(level)

/** As pino writes it. */
function readLine(text: string, now: () => number): LogLine {
  try {
    const { time, level, msg, pid: _pid, hostname: _hostname, ...fields } = JSON.parse(text)
    return { at: new Date(Number(time)).toISOString(), level: levelOf(Number(level)), message: String(msg ?? ''), fields }
  } catch {
    // One that was too long, and so cut.
    const [, level = '30', time = now()] = /^\{"level":(\d+),"time":(\d+)/.exec(text) ?? []
    return { at: new Date(Number(time)).toISOString(), level: levelOf(Number(level)), message: text.trimEnd(), fields: {} }
  }
}

function levelOf(number: number): Level {
  if (number >= 50) return 'error'
  if (number >= 40) return 'warn'
  return number >= 30 ? 'info' : 'debug'
}
