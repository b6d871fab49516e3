import { AppError } from '../errors.ts'

/** Runs what is done under one name one after the other. Throws `busy` where too many wait already, or one waits too long. */
export type TakeTurn = <T>(name: string, work: () => Promise<T>) => Promise<T>

type Line = { waiting: number; last: Promise<unknown> }

const maxWaiting = 100

/** One after the other in this process. */
export function createTurns(): TakeTurn {
  const lines = new Map<string, Line>()
  return async (name, work) => {
    const line = lines.get(name) ?? { waiting: 0, last: Promise.resolve() }
    if (line.waiting >= maxWaiting) throw tooMany()
    lines.set(name, line)
    line.waiting += 1
    const mine = line.last.then(work).finally(() => {
      line.waiting -= 1
      if (line.waiting === 0) lines.delete(name)
    })
    line.last = mine.catch(() => undefined)
    return mine
  }
}

export const tooMany = () =>
  new AppError('busy', 'Too many logins of this user wait already. Try again shortly.', { retryAfterSeconds: 1 })
