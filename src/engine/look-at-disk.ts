const usualLimitMs = 2000

/**
 * Looks at a disk that may not answer: whoever asks gets `instead` after two seconds, and while a look is under way there is no second one.
 * Each would hold one of the few threads that Node.js has for files, until nothing else were read any more.
 */
export function createLook<T>(look: () => Promise<T>, instead: T, limitMs = usualLimitMs): () => Promise<T> {
  let looking: Promise<T> | undefined
  return () => {
    looking ??= look()
      .catch(() => instead)
      .finally(() => {
        looking = undefined
      })
    return withinTime(looking, instead, limitMs)
  }
}

function withinTime<T>(work: Promise<T>, instead: T, limitMs: number): Promise<T> {
  const late = Promise.withResolvers<T>()
  const timer = setTimeout(() => late.resolve(instead), limitMs)
  return Promise.race([work, late.promise]).finally(() => clearTimeout(timer))
}
