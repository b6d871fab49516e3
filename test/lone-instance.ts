import { randomUUID } from 'node:crypto'
import type { Instances } from '../src/instances/instances.ts'

/** A process that is alone on its database, and left nothing behind. */
export function loneInstance(id: string = randomUUID()): Instances {
  return {
    id,
    recover: async (mark) => void (await mark()),
    onLook: () => {},
    hint: async () => {},
    isAlone: () => true,
    close: async () => {},
  }
}
