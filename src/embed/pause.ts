import { setImmediate } from 'node:timers/promises'

/** Lets others run between two pieces of a long work: the database answers in this thread, and awaiting it yields to nobody. */
export const pause = (): Promise<void> => setImmediate()
