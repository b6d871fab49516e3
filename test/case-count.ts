/** Whether tests of many like cases run all of them, as a release's run does: `LONG_TESTS=true`. */
export const isLong = process.env.LONG_TESTS !== undefined

/** All of the cases in a long run; else one of every so many, spread over all. */
export function someOf<T>(cases: readonly T[], oneOf: number): readonly T[] {
  return isLong ? cases : cases.filter((_, index) => index % oneOf === 0)
}

/** How often something is repeated. */
export const times = (inLongRun: number, else_: number): number => (isLong ? inLongRun : else_)
