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
  /** Keeps it, in the place of what was used last before all others. */
  keep(aside: Aside): void
  /** What begins with most of the prompt's tokens; never all of it. */
  longest(
    wanted: Readonly<{ prompt: readonly number[]; adapter: string | undefined; exactly: boolean }>,
  ): AsideBeginning | undefined
  /** Notes that it was of use. */
  touch(aside: Aside): void
  forget(aside: Aside): void
}

/** Beginnings outside of the context, of up to so many tokens together. */
export function createSetAside(mostTokens: number): SetAside {
  const kept = new LRUCache<Aside, true>({ maxSize: mostTokens, sizeCalculation: (_, { tokens }) => tokens.length })
  return {
    keep: (aside) => void kept.set(aside, true),
    longest({ prompt, adapter, exactly }) {
      let best: AsideBeginning | undefined
      for (const aside of kept.keys()) {
        if (aside.adapter !== adapter) continue
        const common = Math.min(commonLength(aside.tokens, prompt), prompt.length - 1)
        const length = exactly ? Math.min(common, aside.exact) : common
        if (length > (best?.length ?? 0)) best = { aside, length }
      }
      return best
    },
    touch: (aside) => void kept.get(aside),
    forget: (aside) => void kept.delete(aside),
  }
}
