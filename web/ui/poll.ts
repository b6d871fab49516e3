/**
 * Calls `refresh` at once and then again and again, `waitMs` after each end, as long as the page can be seen; when it is seen again, at
 * once. Gives what stops it. `refresh` must not throw.
 */
export function pollWhileVisible(refresh: (signal: AbortSignal) => Promise<void>, waitMs: () => number): () => void {
  const stopping = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  let isRunning = false

  async function run(): Promise<void> {
    if (isRunning || stopping.signal.aborted) return
    clearTimeout(timer)
    isRunning = true
    await refresh(stopping.signal)
    isRunning = false
    if (!stopping.signal.aborted && document.visibilityState === 'visible') timer = setTimeout(() => void run(), waitMs())
  }

  function followVisibility(): void {
    if (document.visibilityState === 'visible') void run()
    else clearTimeout(timer)
  }

  document.addEventListener('visibilitychange', followVisibility, { signal: stopping.signal })
  void run()
  return () => {
    stopping.abort()
    clearTimeout(timer)
  }
}
