import { AppError } from '../../errors.ts'

export interface RequestQueue {
  readonly waiting: number
  /** Places that are taken. */
  readonly used: number
  /**
   * Resolves when `places` of the capacity are this request's, with the function that gives them back.
   * Throws `busy` at once when too many wait, `aborted` when the signal says so while it waits.
   */
  acquire(user: string, places: number, signal: AbortSignal): Promise<() => void>
}

type Waiter = { places: number; admit(): void }

/** A bounded queue that takes turns between users: one with a hundred requests does not keep another from the next place. */
export function createRequestQueue({ capacity, maxWaiting }: { capacity: number; maxWaiting: number }): RequestQueue {
  /** Each user's requests in order of arrival; users in order of their turn. */
  const users = new Map<string, Waiter[]>()
  let used = 0
  let waiting = 0

  function remove(user: string, waiter: Waiter): void {
    const left = (users.get(user) ?? []).filter((other) => other !== waiter)
    users.delete(user)
    // Behind all others: this user's turn is over.
    if (left.length > 0) users.set(user, left)
    waiting -= 1
  }

  function admitNext(): void {
    for (;;) {
      const next = users.entries().next().value
      const waiter = next?.[1][0]
      if (next === undefined || waiter === undefined || used + waiter.places > capacity) return
      used += waiter.places
      remove(next[0], waiter)
      waiter.admit()
    }
  }

  function releaseOf(places: number): () => void {
    let released = false
    return () => {
      if (released) return
      released = true
      used -= places
      admitNext()
    }
  }

  return {
    get waiting() {
      return waiting
    },
    get used() {
      return used
    },
    async acquire(user, places, signal) {
      if (signal.aborted) throw gaveUp()
      if (waiting === 0 && used + places <= capacity) {
        used += places
        return releaseOf(places)
      }
      if (waiting >= maxWaiting) {
        throw new AppError('busy', `${maxWaiting} requests wait already. Try again shortly.`, { retryAfterSeconds: 1 })
      }
      const turn = Promise.withResolvers<void>()
      const waiter = { places, admit }
      users.set(user, [...(users.get(user) ?? []), waiter])
      waiting += 1
      signal.addEventListener('abort', leave, { once: true })
      await turn.promise
      return releaseOf(places)

      function admit(): void {
        // At once: who leaves after this has a place to give back, and waits no more.
        signal.removeEventListener('abort', leave)
        turn.resolve()
      }
      function leave(): void {
        remove(user, waiter)
        turn.reject(gaveUp())
        admitNext()
      }
    },
  }
}

const gaveUp = () => new AppError('aborted', 'The request was given up while it waited.')
