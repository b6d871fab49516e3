import { LRUCache } from 'lru-cache'
import { commonLength } from './common-length.ts'

/** What a sequence held when it was moved out of the context. */
export type Aside = Readonly<{
  adapter: string | undefined
  tokens: readonly number[]
  /** How many of the first tokens were computed in the way that repeats exactly. */
  exact: number
  /** What the library needs to bring them back. */
  bytes: Uint8Array
}>

export type AsideBeginning = Readonly<{ aside: Aside; length: number }>

export interface SetAside {
  /** Makes room for so many tokens, by forgetting what was last used by `until`, a time of the caller's. Whether there is room now. */
  makeRoom(tokens: number, until: number): boolean
  /** Keeps it as used at `time`; where there is no room, in the place of what was unused for longest. */
  keep(aside: Aside, time: number): void
  /** What begins with most of the prompt's tokens; never all of it. */
  longest(
    wanted: Readonly<{ prompt: readonly number[]; adapter: string | undefined; exactly: boolean }>,
    time: number,
  ): AsideBeginning | undefined
  forget(aside: Aside): void
}

/** Beginnings outside of the context, of up to so many tokens together. */
export function createSetAside(mostTokens: number): SetAside {
  /** The times of their last use. */
  const kept = new LRUCache<Aside, number>({
    maxSize: Math.max(1, mostTokens),
    sizeCalculation: (_, { tokens }) => tokens.length,
  })
  return {
    makeRoom(tokens, until) {
      if (tokens > mostTokens) return false
      for (const aside of [...kept.rkeys()]) {
        if (kept.calculatedSize + tokens <= mostTokens || (kept.peek(aside) ?? until) > until) break
        kept.delete(aside)
      }
      return kept.calculatedSize + tokens <= mostTokens
    },
    keep: (aside, time) => void kept.set(aside, time),
    longest({ prompt, adapter, exactly }, time) {
      let best: AsideBeginning | undefined
      for (const aside of kept.keys()) {
        if (aside.adapter !== adapter) continue
        const common = Math.min(commonLength(aside.tokens, prompt), prompt.length - 1)
        const length = exactly ? Math.min(common, aside.exact) : common
        if (length > (best?.length ?? 0)) best = { aside, length }
      }
      if (best !== undefined) kept.set(best.aside, time)
      return best
    },
    forget: (aside) => void kept.delete(aside),
  }
}
