import { LRUCache } from 'lru-cache'
import { AppError } from '../errors.ts'

/** What was guessed, and from where. */
export type LoginAttempt = Readonly<{ address: string; usernameKey: string }>

export interface LoginThrottle {
  /**
   * Runs `work` (undefined is a failed login) after earlier attempts on the same user from the same address, so that
   * many guesses at once count like one after the other. Throws `rate_limited` after too many failures.
   */
  attempt<T>(attempt: LoginAttempt, work: () => Promise<T | undefined>): Promise<T | undefined>
}

export type LoginThrottleOptions = Readonly<{
  now: () => number
  windowSeconds?: number
  /** Failures on one user from one address. */
  maxFailures?: number
  /** Failures from one address, whoever the user: against one password tried on many users. */
  maxFailuresPerAddress?: number
}>

type Counter = { failures: number; windowEndsAt: number }
type Line = Counter & { waiting: number; last: Promise<unknown> }

const maxRemembered = 20_000
const maxWaiting = 100

export function createLoginThrottle({
  now,
  windowSeconds = 60,
  maxFailures = 5,
  maxFailuresPerAddress = 60,
}: LoginThrottleOptions): LoginThrottle {
  const lines = new LRUCache<string, Line>({ max: maxRemembered })
  const addresses = new LRUCache<string, Counter>({ max: maxRemembered })

  function refuseAfter(counter: Counter, limit: number): void {
    const leftMs = counter.windowEndsAt - now()
    if (counter.failures < limit || leftMs <= 0) return
    const retryAfterSeconds = Math.ceil(leftMs / 1000)
    throw new AppError('rate_limited', `Too many failed logins. Try again in ${retryAfterSeconds} s.`, { retryAfterSeconds })
  }

  function countFailure(counter: Counter): void {
    if (counter.windowEndsAt <= now()) Object.assign(counter, { failures: 0, windowEndsAt: now() + windowSeconds * 1000 })
    counter.failures++
  }

  return {
    async attempt({ address, usernameKey }, work) {
      const line = remember(lines, `${address} ${usernameKey}`, () => ({
        failures: 0,
        windowEndsAt: 0,
        waiting: 0,
        last: Promise.resolve(),
      }))
      const counter = remember(addresses, address, () => ({ failures: 0, windowEndsAt: 0 }))
      return inLine(line, async () => {
        refuseAfter(line, maxFailures)
        refuseAfter(counter, maxFailuresPerAddress)
        const result = await work()
        if (result === undefined) [line, counter].forEach(countFailure)
        else line.failures = 0
        return result
      })
    },
  }
}

function remember<T extends object>(cache: LRUCache<string, T>, key: string, create: () => T): T {
  const known = cache.get(key)
  if (known !== undefined) return known
  const created = create()
  cache.set(key, created)
  return created
}

async function inLine<T>(line: Line, work: () => Promise<T>): Promise<T> {
  if (line.waiting >= maxWaiting) {
    throw new AppError('busy', `${maxWaiting} logins of this user wait already. Try again shortly.`, { retryAfterSeconds: 1 })
  }
  line.waiting++
  const mine = line.last.then(work).finally(() => line.waiting--)
  line.last = mine.catch(() => undefined)
  return mine
}
