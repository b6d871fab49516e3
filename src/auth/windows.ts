import { LRUCache } from 'lru-cache'

/** What was counted under a key, and how long the window still lasts that began with the first of it. */
export type WindowState = Readonly<{ count: number; leftMs: number }>

/** Counts by key, in windows of one length. */
export interface Windows {
  /** Counts one more, and tells all that were counted. */
  add(key: string): Promise<WindowState>
  find(key: string): Promise<WindowState>
  /** Forgets what was counted. */
  clear(key: string): Promise<void>
}

/** What is counted; each kind apart. */
export type WindowKind = 'requests' | 'generations' | 'logins' | 'logins-of-address' | 'registrations'

export type WindowsOptions = Readonly<{
  windowMs: number
  /** Keys remembered in memory; the one that was not used for the longest goes first. */
  maxKeys: number
}>

export type OpenWindows = (kind: WindowKind, options: WindowsOptions) => Windows

/** Milliseconds that only grow. */
type Now = () => number

/** In the memory of this process. */
export const openMemoryWindows =
  (now: Now): OpenWindows =>
  (_kind, options) =>
    createMemoryWindows(options, now)

export interface MemoryWindows extends Windows {
  /** Takes over what was counted elsewhere. */
  note(key: string, state: WindowState): void
}

type Window = Readonly<{ count: number; endsAt: number }>

export function createMemoryWindows({ windowMs, maxKeys }: WindowsOptions, now: Now): MemoryWindows {
  const windows = new LRUCache<string, Window>({ max: maxKeys })
  const running = (key: string): Window | undefined => {
    const known = windows.get(key)
    return known === undefined || known.endsAt <= now() ? undefined : known
  }
  const stateOf = ({ count, endsAt }: Window): WindowState => ({ count, leftMs: endsAt - now() })
  return {
    async add(key) {
      const { count, endsAt } = running(key) ?? { count: 0, endsAt: now() + windowMs }
      const window = { count: count + 1, endsAt }
      windows.set(key, window)
      return stateOf(window)
    },
    async find(key) {
      const known = running(key)
      return known === undefined ? nothing : stateOf(known)
    },
    async clear(key) {
      windows.delete(key)
    },
    note(key, { count, leftMs }) {
      if (count === 0) windows.delete(key)
      else windows.set(key, { count, endsAt: now() + leftMs })
    },
  }
}

const nothing: WindowState = { count: 0, leftMs: 0 }
