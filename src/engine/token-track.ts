import type { TokenLogprob } from './provider.ts'

/** Keeps tokens with the text that they are made of, while pieces of that text are given on or left out. */
export function createTokenTrack() {
  const waiting: Array<Readonly<{ at: number; token: TokenLogprob }>> = []
  /** Characters that have come, and characters that have gone. */
  let came = 0
  let gone = 0
  let tracked = false

  function leave(length: number): readonly TokenLogprob[] {
    gone += length
    const count = waiting.findIndex(({ at }) => at >= gone)
    return waiting.splice(0, count < 0 ? waiting.length : count).map(({ token }) => token)
  }

  return {
    add(text: string, tokens: readonly TokenLogprob[] | undefined): void {
      // Where a token is a part of a character, all that came at once stay together.
      const fits = (tokens ?? []).map((token) => token.text).join('') === text
      let at = came
      for (const token of tokens ?? []) {
        waiting.push({ at, token })
        if (fits) at += token.text.length
      }
      came += text.length
      tracked ||= tokens !== undefined
    },
    /** The tokens that begin in the next so many characters, where any were ever given. */
    take(length: number): Readonly<{ tokens?: readonly TokenLogprob[] }> {
      const tokens = leave(length)
      return tracked ? { tokens } : {}
    },
    drop(length: number): void {
      leave(length)
    },
    /** Those without a text of their own at the end; undefined: none. */
    rest(): readonly TokenLogprob[] | undefined {
      return waiting.length === 0 ? undefined : waiting.splice(0).map(({ token }) => token)
    },
  }
}
