import { AppError } from '../../errors.ts'
import type { Clock } from './clock.ts'

/** A request's stay at a server. */
export interface Lease {
  readonly baseUrl: string
  /** Leaves the server out until a probe finds it well again. */
  markDown(): void
  /** Must be called once the request has ended there. */
  release(): void
}

/** Several servers that answer the same. */
export interface Addresses {
  readonly count: number
  /**
   * The server with the fewest requests, in turn among equals; those that a request has tried before only when no other is well.
   * Throws `unavailable` when none is.
   */
  take(tried: ReadonlySet<string>): Lease
  /** Whether a server is well that is not among these. */
  hasOther(tried: ReadonlySet<string>): boolean
  /** Requests under way, by server. */
  outstanding(): Readonly<Record<string, number>>
  /** Ends all probing. */
  close(): Promise<void>
}

/** Looks after a server that is down, until it is well again or nobody wants to know. */
export interface Probe {
  /** Resolves when the server is well, and rejects otherwise. */
  ask(signal: AbortSignal): Promise<void>
  /** Called once, after the last question. Never rejects. */
  end(): Promise<void>
}

export type AddressesOptions = Readonly<{
  provider: string
  baseUrls: readonly string[]
  openProbe: (baseUrl: string) => Probe
  clock: Clock
}>

const firstPauseMs = 1000
const longestPauseMs = 30_000

type Server = { readonly baseUrl: string; requests: number; isDown: boolean }

export function createAddresses({ provider, baseUrls, openProbe, clock }: AddressesOptions): Addresses {
  const servers: readonly Server[] = baseUrls.map((baseUrl) => ({ baseUrl, requests: 0, isDown: false }))
  const closing = new AbortController()
  const timers = new Set<() => void>()
  const open = new Set<Probe>()
  const running = new Set<Promise<void>>()
  let lastTaken = servers.length - 1

  function askAfter(pauseMs: number, server: Server, probe: Probe): void {
    if (closing.signal.aborted) return
    const cancel = clock.after(pauseMs, () => {
      timers.delete(cancel)
      const asking = ask(pauseMs, server, probe).finally(() => running.delete(asking))
      running.add(asking)
    })
    timers.add(cancel)
  }

  async function ask(pauseMs: number, server: Server, probe: Probe): Promise<void> {
    try {
      await probe.ask(closing.signal)
    } catch {
      return askAfter(Math.min(pauseMs * 2, longestPauseMs), server, probe)
    }
    server.isDown = false
    open.delete(probe)
    await probe.end()
  }

  function nextOf(candidates: readonly Server[]): Server | undefined {
    const fewest = Math.min(...candidates.map(({ requests }) => requests))
    const least = candidates.filter(({ requests }) => requests === fewest)
    return least.find((server) => servers.indexOf(server) > lastTaken) ?? least[0]
  }

  return {
    count: servers.length,
    take(tried) {
      const well = servers.filter(({ isDown }) => !isDown)
      const untried = well.filter(({ baseUrl }) => !tried.has(baseUrl))
      const server = nextOf(untried.length > 0 ? untried : well)
      if (server === undefined) throw allDown(provider, servers.length)
      lastTaken = servers.indexOf(server)
      server.requests += 1
      return createLease(server, () => {
        // A single server has no other to step in: each request may find it well again.
        if (server.isDown || servers.length === 1) return
        server.isDown = true
        const probe = openProbe(server.baseUrl)
        open.add(probe)
        askAfter(firstPauseMs, server, probe)
      })
    },
    hasOther: (tried) => servers.some(({ baseUrl, isDown }) => !isDown && !tried.has(baseUrl)),
    outstanding: () => Object.fromEntries(servers.map(({ baseUrl, requests }) => [baseUrl, requests])),
    async close() {
      closing.abort()
      for (const cancel of timers) cancel()
      timers.clear()
      await Promise.all(running)
      await Promise.all([...open].map((probe) => probe.end()))
    },
  }
}

function createLease(server: Server, markDown: () => void): Lease {
  let isReleased = false
  return {
    baseUrl: server.baseUrl,
    markDown,
    release() {
      if (isReleased) return
      isReleased = true
      server.requests -= 1
    },
  }
}

function allDown(provider: string, count: number): AppError {
  const message = `None of the ${count} servers of the provider "${provider}" can be reached. They are tried again by themselves.`
  return new AppError('unavailable', message, { retryAfterSeconds: 1 })
}
