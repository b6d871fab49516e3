import type { LookupAddress } from 'node:dns'
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { basename } from 'node:path/posix'
import ipaddr from 'ipaddr.js'
import type { Egress, EgressCall, EgressTally } from '../engine/cloud/egress.ts'
import { AppError } from '../errors.ts'

export type FetchedPage = Readonly<{
  body: AsyncIterable<Uint8Array>
  /** As a file would be called. */
  name: string
  mediaType: string | undefined
}>

/**
 * Gets what is at an address of the web, for a `user` as the ledger calls them. The body must be read to its end or destroyed by the reader's
 * break.
 */
export type FetchPage = (url: URL, signal: AbortSignal, user?: string) => Promise<FetchedPage>

export type FetchPageParts = Readonly<{
  egress: Egress
  maxBytes: number
  /** All addresses of a name: `dns.promises.lookup` with `all`. */
  lookup: (name: string) => Promise<readonly LookupAddress[]>
  /** Whether the service may connect to the address. Default: those of the public internet. */
  isAllowed?: (address: string) => boolean
  timeoutMs?: number
}>

const maxRedirects = 5
const usualTimeoutMs = 60_000

/** Reads an address that a user gives. Throws `invalid` for what is none of the public web. */
export function readPageUrl(text: string): URL {
  if (!URL.canParse(text))
    throw new AppError('invalid', `"url" must be an address such as https://…, but is "${text.slice(0, 200)}".`)
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new AppError('invalid', `"url" must begin with http:// or https://, but begins with "${url.protocol}".`)
  if (url.username !== '' || url.password !== '') throw new AppError('invalid', '"url" must hold no user name and no password.')
  url.hash = ''
  return url
}

/**
 * The name is looked up once, every address of it must be a public one, and the connection goes to these addresses and no others, so that
 * a name cannot lead elsewhere after it was checked. Each redirect is checked as the first address was. Throws `invalid` (an address inside
 * of the network, without a connection), `forbidden` (LOCAL_ONLY), `upstream` (no answer, or another than a page), `too_large`,
 * `aborted`.
 */
export function createFetchPage(parts: FetchPageParts): FetchPage {
  return async (start, signal, user) => {
    const errand = parts.egress.begin({ purpose: 'page-fetch', ...(user === undefined ? {} : { user }) })
    try {
      return await fetchPage(parts, errand, start, signal)
    } catch (error) {
      await errand.end()
      throw error
    }
  }
}

async function fetchPage(parts: FetchPageParts, errand: EgressCall, start: URL, signal: AbortSignal): Promise<FetchedPage> {
  const { maxBytes, timeoutMs = usualTimeoutMs } = parts
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  let url = start
  for (let redirects = 0; ; redirects += 1) {
    // Before the name is looked up: that question would leave the machine, too.
    errand.check(url.hostname)
    const addresses = await findAddresses(parts, url, limit).catch((cause: unknown) => fail(url, cause, signal))
    const tally = await errand.request(url.hostname)
    const answer = await ask({ url, addresses, tally }, limit).catch((cause: unknown) => fail(url, cause, signal))
    const { statusCode = 0, headers } = answer
    tally.answered(statusCode)
    tally.received(headBytes(answer))
    if ([301, 302, 303, 307, 308].includes(statusCode)) {
      answer.destroy()
      if (redirects === maxRedirects) throw new AppError('upstream', `${start.href} redirects more than ${maxRedirects} times.`)
      url = readLocation(headers.location, url)
      continue
    }
    refuseUnreadable(answer, url, maxBytes)
    return { body: readBody({ answer, url, tally, errand }, signal), name: nameOf(url), mediaType: headers['content-type'] }
  }
}

async function findAddresses(
  { lookup, isAllowed = isPublic }: FetchPageParts,
  { hostname }: URL,
  signal: AbortSignal,
): Promise<readonly LookupAddress[]> {
  const host = hostname.replace(/^\[|\]$/g, '')
  const family = isIP(host)
  const found =
    family === 0
      ? await unlessAborted(
          lookup(host).catch(() => []),
          signal,
        )
      : [{ address: host, family }]
  if (found.length === 0) throw new AppError('upstream', `The address of ${host} cannot be found.`)
  if (found.every(({ address }) => isAllowed(address))) return found
  throw new AppError('invalid', `"url" must lead to the public internet, but ${host} is an address inside of this network.`)
}

/** Whether an address is one of the public internet: not private, loopback, link-local, shared, reserved, a tunnel, or mapped to such. */
export function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  // `process` takes an IPv4 address that is mapped into IPv6 for what it is.
  const parsed = ipaddr.process(address)
  if (parsed.range() !== 'unicast') return false
  // Of IPv6 only 2000::/3 is given out (RFC 4291, section 2.4); what is not is no public address.
  return !(parsed instanceof ipaddr.IPv6) || (parsed.parts[0] ?? 0) >> 13 === 1
}

/** What `work` gives, unless the signal comes first: a lookup cannot be stopped, only left. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const stop = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

type Question = Readonly<{ url: URL; addresses: readonly LookupAddress[]; tally: EgressTally }>

function ask({ url, addresses, tally }: Question, signal: AbortSignal): Promise<IncomingMessage> {
  const pinned: LookupFunction = (_name, { all }, done) => {
    const [first] = addresses
    if (all === true) done(null, [...addresses])
    else done(null, first?.address ?? '', first?.family)
  }
  const headers = { accept: 'text/html,text/*;q=0.9,*/*;q=0.8', 'accept-encoding': 'identity', 'user-agent': 'simpleIA' }
  const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
    lookup: pinned,
    // A connection of its own: one that is kept open could have been opened under another check.
    agent: false,
    headers,
    signal,
  })
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  tally.sent(Buffer.byteLength(`GET ${url.href}\r\n${head.join('')}\r\n`))
  return new Promise((resolve, reject) => request.once('response', resolve).once('error', reject).end())
}

function readLocation(location: string | undefined, from: URL): URL {
  if (location === undefined || !URL.canParse(location, from.href))
    throw new AppError('upstream', `${from.origin} redirects to nowhere.`)
  return readPageUrl(new URL(location, from).href)
}

function refuseUnreadable(answer: IncomingMessage, url: URL, maxBytes: number): void {
  const { statusCode, headers } = answer
  const refuse = (error: AppError) => {
    answer.destroy()
    throw error
  }
  if (statusCode !== 200) refuse(new AppError('upstream', `${url.origin} answered ${statusCode}, not with a page.`))
  const encoding = headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity')
    refuse(new AppError('upstream', `${url.origin} sent the page compressed, which was not asked for.`))
  if (Number(headers['content-length'] ?? 0) > maxBytes)
    refuse(
      new AppError('too_large', `The page has ${headers['content-length']} bytes; ${maxBytes} are taken (MAX_DOCUMENT_BYTES).`),
    )
}

/** Bytes of the first line and the headers of an answer. */
function headBytes({ statusMessage, rawHeaders }: IncomingMessage): number {
  return 15 + Buffer.byteLength(statusMessage ?? '') + rawHeaders.reduce((sum, text) => sum + Buffer.byteLength(text) + 2, 2)
}

type Answer = Readonly<{ answer: IncomingMessage; url: URL; tally: EgressTally; errand: EgressCall }>

async function* readBody({ answer, url, tally, errand }: Answer, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of answer) {
      tally.received(chunk.length)
      yield chunk
    }
  } catch (cause) {
    fail(url, cause, signal)
  } finally {
    answer.destroy()
    await errand.end()
  }
}

function fail(url: URL, cause: unknown, signal: AbortSignal): never {
  if (cause instanceof AppError) throw cause
  if (signal.aborted) throw new AppError('aborted', 'Fetching the page was stopped.', { cause })
  const isLate = cause instanceof Error && (cause.name === 'TimeoutError' || cause.name === 'AbortError')
  throw new AppError('upstream', `${url.origin} ${isLate ? 'took too long' : 'cannot be reached, or broke off'}.`, { cause })
}

/** The last part of the path, else the host. */
function nameOf(url: URL): string {
  const last = basename(url.pathname)
  try {
    return decodeURIComponent(last) || url.hostname
  } catch {
    return last
  }
}
