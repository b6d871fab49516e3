import { refreshStates } from './models.svelte.ts'

const intervalMs = 500

/** Asks again and again what is in memory, until it is told to end. */
export function watchModels(): () => void {
  const ending = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  const next = async () => {
    await refreshStates(ending.signal)
    if (!ending.signal.aborted) timer = setTimeout(() => void next(), intervalMs)
  }
  void next()
  return () => {
    ending.abort()
    clearTimeout(timer)
  }
}
