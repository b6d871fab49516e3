/** Upper bounds of the buckets in which steps are counted by their tokens. */
export const batchBounds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048] as const

/** What an engine's process has done since it started; it only grows. */
export type EngineWork = Readonly<{
  /** Steps by their tokens: one count for each of `batchBounds`, and one for those beyond. */
  batches: readonly number[]
  /** Tokens that were evaluated in all steps together. */
  tokens: number
  /** Tokens that were guessed from a passage, and those of them that were right. */
  draftedTokens: number
  acceptedTokens: number
}>

/** The memory for contexts (KV cache), in tokens. */
export type ContextMemory = Readonly<{
  /** Of requests under way. Where some of them begin alike, what they share counts for each, up to what there is. */
  usedTokens: number
  /** With what is kept for prompts that begin alike. */
  heldTokens: number
  totalTokens: number
}>

/** A model that is or was in memory, and what it does. */
export type ModelLoad = Readonly<{
  name: string
  isLoaded: boolean
  /** Answers that it writes at once, and those being written now. */
  slots: number
  usedSlots: number
  /** Requests that may wait for it, and those that do. */
  queueLimit: number
  queued: number
  memory: ContextMemory
  /** Processes of it that ended by themselves. */
  deaths: number
  /** Of all its processes. */
  work: EngineWork
}>

export const noWork: EngineWork = { batches: batchBounds.map(() => 0).concat(0), tokens: 0, draftedTokens: 0, acceptedTokens: 0 }
export const noContextMemory: ContextMemory = { usedTokens: 0, heldTokens: 0, totalTokens: 0 }

export function addWork(one: EngineWork, other: EngineWork): EngineWork {
  return {
    batches: one.batches.map((count, index) => count + (other.batches[index] ?? 0)),
    tokens: one.tokens + other.tokens,
    draftedTokens: one.draftedTokens + other.draftedTokens,
    acceptedTokens: one.acceptedTokens + other.acceptedTokens,
  }
}

/** Counts the steps of one process. */
export function createWorkCounter() {
  const batches = [...noWork.batches]
  let tokens = 0
  let draftedTokens = 0
  let acceptedTokens = 0
  return {
    step(size: number, drafted: number): void {
      const found = batchBounds.findIndex((bound) => size <= bound)
      const index = found < 0 ? batchBounds.length : found
      batches[index] = (batches[index] ?? 0) + 1
      tokens += size
      draftedTokens += drafted
    },
    accepted(count: number): void {
      acceptedTokens += count
    },
    read: (): EngineWork => ({ batches: [...batches], tokens, draftedTokens, acceptedTokens }),
  }
}
