import type { RefusalReason } from '../kinds.ts'

/** A record that can't become a row. The message says why, without what stands in it. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly reason: RefusalReason

  constructor(reason: RefusalReason, message: string) {
    super(message)
    this.reason = reason
  }
}
