/** What is saved of something that changes often. */
export type GatheredSaves<T> = Readonly<{
  /** To be saved soon, unless a newer one comes before. */
  put(value: T): void
  /** Saves nothing more; resolves when what is being saved has been. */
  close(): Promise<void>
}>

export type GatherOptions<T> = Readonly<{
  save: (value: T) => Promise<unknown>
  /** Between the beginnings of two saves. */
  everyMs: number
  /** Told of a save that failed; what it was to save is not tried again, as a newer one comes. */
  onError: (error: unknown) => void
}>

/** Saves the newest of many values: the first at once, and then one in so much time. */
export function gatherSaves<T>({ save, everyMs, onError }: GatherOptions<T>): GatheredSaves<T> {
  let newest: Readonly<{ value: T }> | undefined
  let saving: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  let isClosed = false

  function saveNewest(): void {
    timer = undefined
    if (newest === undefined || isClosed) return
    const { value } = newest
    newest = undefined
    timer = setTimeout(saveNewest, everyMs).unref()
    saving = saving.then(() => save(value)).then(() => {}, onError)
  }

  return {
    put(value) {
      newest = { value }
      if (timer === undefined) saveNewest()
    },
    async close() {
      isClosed = true
      clearTimeout(timer)
      await saving
    },
  }
}
