import { AppError } from '../errors.ts'

/** Runs what is done under one name one after the other (or some at a time, where it says so). Throws `busy` where too many wait already, or one waits too long. */
export type TakeTurn = <T>(name: string, work: () => Promise<T>) => Promise<T>

type Line = { running: number; readonly waiting: Array<() => void> }

export type TurnsOptions = Readonly<{
  /** How many may work under one name at a time; default: one. */
  atOnce?: number
  maxWaiting?: number
}>

/** In this process, in the order in which they came. */
export function createTurns({ atOnce = 1, maxWaiting = 100 }: TurnsOptions = {}): TakeTurn {
  const lines = new Map<string, Line>()
  return async (name, work) => {
    const line = lines.get(name) ?? { running: 0, waiting: [] }
    lines.set(name, line)
    if (line.running < atOnce) line.running += 1
    else if (line.waiting.length < maxWaiting) await new Promise<void>((begin) => line.waiting.push(begin))
    else throw tooMany()
    try {
      return await work()
    } finally {
      // Whoever is next takes over the place.
      const next = line.waiting.shift()
      if (next !== undefined) next()
      else {
        line.running -= 1
        if (line.running === 0) lines.delete(name)
      }
    }
  }
}

export const tooMany = () => new AppError('busy', 'Too many logins wait already. Try again shortly.', { retryAfterSeconds: 1 })
