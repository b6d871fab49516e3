import { createHash } from 'node:crypto'

/** What Redis gives back for a script: a number, bytes, nothing, or a list of these. */
export type RedisReply = unknown

/** A Lua script, which Redis runs as one step; whoever else asks waits. */
export type Script<Answer> = Readonly<{
  text: string
  /** By which Redis knows it once it has run. */
  sha1: string
  /** Throws for what is no answer of this script. */
  read: (reply: RedisReply) => Answer
}>

export function createScript<Answer>(text: string, read: (reply: RedisReply) => Answer): Script<Answer> {
  return { text, sha1: createHash('sha1').update(text).digest('hex'), read }
}

/** For a script that gives one whole number. */
export function readNumber(reply: RedisReply): number {
  if (typeof reply === 'number' && Number.isSafeInteger(reply)) return reply
  throw new TypeError('Redis has answered something else than a whole number.')
}

/** For a script that gives a list. */
export function readList(reply: RedisReply): readonly RedisReply[] {
  if (Array.isArray(reply)) return reply
  throw new TypeError('Redis has answered something else than a list.')
}
