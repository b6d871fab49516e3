import { AppError } from '../../errors.ts'
import type { Clock } from './clock.ts'
import type { Egress } from './egress.ts'

/** A model that a provider may be asked for. */
export type CloudModel = Readonly<{
  name: string
  /** Prompt and answer together, in tokens, where it is known. */
  contextSize?: number
  /** The most new tokens of one answer, where it is known. */
  maxOutputTokens?: number
}>

export type CloudTimeouts = Readonly<{
  /** From sending a request to the first piece of its answer, for each try. */
  firstTokenMs: number
  /** Between two pieces of what the other side sends. */
  idleMs: number
  /** For the whole answer, all tries and waits together. */
  totalMs: number
}>

export type CloudOptions = Readonly<{
  /** How requests call it: `claude`, `openai`, `custom`, or a name of its own. */
  name: string
  /** One or several servers that answer the same. */
  baseUrls: readonly string[]
  /** Undefined where the server asks for none. */
  apiKey: string | undefined
  /** Empty: any name is passed on. The first one answers who names none. */
  models: readonly CloudModel[]
  timeouts: CloudTimeouts
  /** Further tries after a first one, before anything of an answer has come. */
  maxRetries: number
  /** Requests that are under way at a time. */
  maxParallel: number
  /** Requests that may wait for their turn. */
  maxQueue: number
  egress: Egress
  clock: Clock
  /** From 0 up to 1, as Math.random: spreads the waits between tries. */
  random: () => number
}>

/** Each once, without a slash at its end. Throws `invalid`, and never quotes what may hold a password. */
export function readBaseUrls(name: string, baseUrls: readonly string[]): readonly string[] {
  if (baseUrls.length === 0) throw new AppError('invalid', `The provider "${name}" needs the address of a server.`)
  const read = baseUrls.map((text) => {
    const url = URL.parse(text)
    const isPlain = url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
    if (isPlain && ['http:', 'https:'].includes(url.protocol)) return url.href.replace(/\/+$/, '')
    const expected = 'an address as "https://host/v1": http or https, without user, password, query or fragment'
    throw new AppError('invalid', `The address of the provider "${name}" must be ${expected}.`)
  })
  return [...new Set(read)]
}

/** `local` where all of the servers are this machine. */
export function ranOnOf(baseUrls: readonly string[]): 'local' | 'cloud' {
  return baseUrls.every((url) => isLoopback(new URL(url).hostname)) ? 'local' : 'cloud'
}

/** URL has already written IPv4 addresses in full, and IPv6 ones in brackets. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}
