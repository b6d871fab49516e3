import { randomUUID } from 'node:crypto'
import { AppError } from '../../errors.ts'
import type { Usage } from '../provider.ts'
import { countBody, countedResponse, headBytes } from './count-bytes.ts'
import type { EgressPurpose } from './egress-purposes.ts'
import { isPrivateAddress } from './own-network.ts'

/** What a call to the outside is for. */
export type EgressIntent = Readonly<{
  purpose: EgressPurpose
  /** The `user` of the request that needs it (`user:ID`, `address:…`); undefined where nobody asked. */
  user?: string
  /** Of a cloud provider, for `answer`, `token-count` and `probe`. */
  provider?: string
  /** What is asked or fetched: the cloud's model, the model of the hub, the Python package. */
  model?: string
}>

/** One errand outside: one request, and those that follow from it (redirects, further tries). */
export interface EgressCall {
  /**
   * As the global one, for this errand only. Throws `forbidden` where LOCAL_ONLY is set and the address is not this machine. Redirects
   * are never followed: with `redirect: 'manual'` they are given as they are, otherwise they throw `upstream`.
   */
  readonly fetch: typeof globalThis.fetch
  /** Throws `forbidden` as `fetch` does, without a request: to be asked before a name is looked up. */
  check(host: string): void
  /** Says that a request goes out by other means than `fetch`, and gives what counts it. Throws `forbidden` as `fetch` does. */
  request(host: string): Promise<EgressTally>
  /** Tells the tokens that the other side has counted; the cached ones are some of the prompt's. */
  used(usage: Usage): void
  /** Writes what happened into the ledger. Must be called, also after a failure. Never rejects. */
  end(): Promise<void>
}

/** Counts a request that is not made by `fetch`. */
export interface EgressTally {
  sent(bytes: number): void
  received(bytes: number): void
  answered(status: number): void
}

/** The only way out of this machine. */
export interface Egress {
  begin(intent: EgressIntent): EgressCall
}

/** An errand as the ledger has it. What stayed on this machine is no part of it. */
export type EgressEntry = EgressIntent &
  Readonly<{
    id: string
    /** Milliseconds since 1970. */
    startedAt: number
    /** In the order in which they were asked first, without ports. */
    hosts: readonly string[]
    requests: number
    /** HTTP status of the last answer; undefined when none came. */
    status: number | undefined
    bytesOut: number
    bytesIn: number
    usage: Usage | undefined
    /** Millionths of a US dollar; undefined where no price or no usage is known. */
    costMicrodollars: number | undefined
    /** Undefined while the errand runs. */
    durationMs: number | undefined
  }>

/** US dollars for a million tokens. */
export type Price = Readonly<{ input: number; output: number; cachedInput?: number | undefined }>

export type EgressOptions = Readonly<{
  /** Nothing may leave this machine. */
  localOnly: boolean
  fetch: typeof globalThis.fetch
  /**
   * Writes an entry, or writes over the one with its id. It is there before the first request goes to a host, and again at the end, so that
   * a crash leaves an entry without an end. When this rejects, the request does not go out.
   */
  record: (entry: EgressEntry) => Promise<void>
  priceOf?: (model: string) => Price | undefined
  /** Milliseconds since 1970. */
  now: () => number
  /** Milliseconds that only grow. */
  clock?: () => number
}>

/** What one errand has come to. */
type Account = {
  readonly id: string
  readonly startedAt: number
  readonly beganMs: number
  readonly hosts: string[]
  requests: number
  status: number | undefined
  bytesOut: number
  bytesIn: number
  usage: Usage | undefined
  ended: boolean
  /** The writing of the ledger, one entry after the other. */
  writing: Promise<void>
}

export function createEgress(given: EgressOptions): Egress {
  const options = { clock: () => performance.now(), ...given }
  return {
    begin(intent) {
      const account: Account = {
        id: randomUUID(),
        startedAt: options.now(),
        beganMs: options.clock(),
        hosts: [],
        requests: 0,
        status: undefined,
        bytesOut: 0,
        bytesIn: 0,
        usage: undefined,
        ended: false,
        writing: Promise.resolve(),
      }
      return createCall(options, intent, account)
    },
  }
}

function createCall(
  options: Required<Pick<EgressOptions, 'clock'>> & EgressOptions,
  intent: EgressIntent,
  account: Account,
): EgressCall {
  const check = (host: string) => {
    if (account.ended) throw new AppError('internal', 'A request was to go out after its errand had ended.')
    if (options.localOnly && !mayBeAsked(intent, host)) throw localOnlyError(host)
  }
  const write = (durationMs: number | undefined) => {
    const entry = toEntry(options, intent, account, durationMs)
    account.writing = account.writing.catch(() => {}).then(() => options.record(entry))
    return account.writing
  }
  const request = async (host: string): Promise<EgressTally> => {
    check(host)
    if (isThisMachine(host)) return uncounted
    await announce(account, bareHost(host), () => write(undefined))
    return tallyOf(account)
  }
  return {
    fetch: (input, init) => fetchCounted(options.fetch, request, input, init),
    check,
    request,
    used(usage) {
      account.usage = usage
    },
    async end() {
      if (account.ended) return
      account.ended = true
      if (account.requests === 0) return
      // The entry stays open where the ledger cannot be written: what was done is done.
      await write(Math.round(options.clock() - account.beganMs)).catch(() => {})
    },
  }
}

/** Waits until the ledger knows of the request. What cannot be written there does not go out; a further try begins anew. */
async function announce(account: Account, host: string, write: () => Promise<void>): Promise<void> {
  account.requests += 1
  try {
    if (account.hosts.includes(host)) return await account.writing
    account.hosts.push(host)
    await write()
  } catch (error) {
    account.requests -= 1
    account.hosts.splice(0, account.hosts.length, ...account.hosts.filter((asked) => asked !== host))
    throw error
  }
}

function tallyOf(account: Account): EgressTally {
  return {
    sent(bytes) {
      account.bytesOut += bytes
    },
    received(bytes) {
      account.bytesIn += bytes
    },
    answered(status) {
      account.status = status
    },
  }
}

const uncounted: EgressTally = { sent() {}, received() {}, answered() {} }

async function fetchCounted(
  fetch: typeof globalThis.fetch,
  request: EgressCall['request'],
  input: Parameters<typeof globalThis.fetch>[0],
  init: RequestInit = {},
): Promise<Response> {
  const url = new URL(input instanceof Request ? input.url : input)
  const tally = await request(url.hostname)
  const method = init.method ?? (input instanceof Request ? input.method : 'GET')
  const body = await countBody(init.body ?? (input instanceof Request ? input.body : null), tally.sent)
  const given = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined))
  for (const [name, value] of body.headers) if (!given.has(name)) given.set(name, value)
  tally.sent(headBytes(`${method} ${url.href}`, given))
  const wanted = init.redirect ?? (input instanceof Request ? input.redirect : 'follow')
  // One that is followed inside of fetch would lead past the check and the ledger.
  const response = await fetch(input, { ...init, headers: given, ...body.init, redirect: 'manual' })
  tally.answered(response.status)
  tally.received(headBytes(`${response.status} ${response.statusText}`, response.headers))
  if (wanted !== 'manual' && response.headers.has('location') && response.status >= 300 && response.status < 400) {
    await response.body?.cancel()
    throw new AppError(
      'upstream',
      `${url.origin} redirects elsewhere (${response.status}), which is not followed. Use its address.`,
    )
  }
  return countedResponse(response, tally.received)
}

function toEntry(
  { priceOf }: EgressOptions,
  intent: EgressIntent,
  account: Account,
  durationMs: number | undefined,
): EgressEntry {
  const { id, startedAt, requests, status, bytesOut, bytesIn, usage } = account
  const price = intent.model === undefined ? undefined : priceOf?.(intent.model)
  const costMicrodollars = price === undefined || usage === undefined ? undefined : costOf(price, usage)
  const counts = { requests, status, bytesOut, bytesIn, usage, costMicrodollars, durationMs }
  return { ...intent, id, startedAt, hosts: [...account.hosts], ...counts }
}

/** In millionths of a US dollar: a price for a million tokens is that of one in millionths. */
export function costOf(
  { input, output, cachedInput = input }: Price,
  { promptTokens, completionTokens, cachedPromptTokens }: Usage,
) {
  const cached = Math.min(cachedPromptTokens, promptTokens)
  return Math.round((promptTokens - cached) * input + cached * cachedInput + completionTokens * output)
}

const bareHost = (host: string) => host.replace(/^\[|\]$/g, '').toLowerCase()

/** Where LOCAL_ONLY is set. Traces may go to a collector in the operator's own network, and to nobody else. */
function mayBeAsked({ purpose }: EgressIntent, host: string): boolean {
  return isThisMachine(host) || (purpose === 'telemetry' && isPrivateAddress(host))
}

/** Whether the host is this machine by its own writing. What another name leads to, nobody can promise. */
export function isThisMachine(host: string): boolean {
  const bare = bareHost(host)
  return bare === 'localhost' || bare === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(bare)
}

/** What is said where LOCAL_ONLY keeps a request in. */
export function localOnlyError(host: string): AppError {
  return new AppError('forbidden', `LOCAL_ONLY is true: nothing leaves this machine, so ${bareHost(host)} is not asked.`)
}
