import type { LookupAddress } from 'node:dns'
import { BlockList, isIP } from 'node:net'
import { AppError } from '../errors.ts'
import { RetryError } from './hub-answer.ts'

/** The model hub, or a mirror of it, and how it is reached. */
export type Hub = Readonly<{
  fetch: typeof globalThis.fetch
  /** Throws `forbidden` for a host that must not be asked, before its name is looked up. */
  check: (host: string) => void
  /** The addresses of a name: as `dns.promises.lookup` with `all`. */
  lookup: (name: string) => Promise<readonly LookupAddress[]>
  /** For example `https://huggingface.co`. */
  endpoint: string
  token: string | undefined
}>

/** What came, and the address that it came from in the end. */
export type HubAnswer = Readonly<{ response: Response; url: string }>

const maxRedirects = 5

/**
 * A GET request to the hub, or to where it leads. The token goes to the hub itself only, never to another host. Redirects to
 * addresses inside this network are refused, unless the hub itself is there: a hub must not be able to make the service ask its
 * own neighbours. Throws `upstream` for such and for endless redirects, and whatever `check` and `fetch` throw.
 */
export async function askHub(hub: Hub, start: string, headers: Record<string, string>, signal: AbortSignal): Promise<HubAnswer> {
  let url = new URL(start)
  for (let redirects = 0; ; redirects += 1) {
    hub.check(url.hostname)
    await refuseInside(hub, url)
    const isHub = url.origin === new URL(hub.endpoint).origin
    const authorization = isHub && hub.token !== undefined ? { authorization: `Bearer ${hub.token}` } : {}
    // What is compressed on the way has other lengths and ranges than the file.
    const response = await hub.fetch(url, {
      headers: { 'accept-encoding': 'identity', ...headers, ...authorization },
      redirect: 'manual',
      signal,
    })
    if (![301, 302, 303, 307, 308].includes(response.status)) return { response, url: url.href }
    await response.body?.cancel()
    if (redirects === maxRedirects) throw new AppError('upstream', `${start} redirects without end.`)
    url = readLocation(response, url)
  }
}

function readLocation(response: Response, from: URL): URL {
  const location = response.headers.get('location') ?? ''
  if (location === '' || !URL.canParse(location, from.href))
    throw new AppError('upstream', `${from.origin} redirects to nowhere.`)
  return new URL(location, from)
}

async function refuseInside(hub: Hub, url: URL): Promise<void> {
  const endpoint = new URL(hub.endpoint)
  if (url.origin === endpoint.origin) return
  const refused = (why: string) => new AppError('upstream', `${endpoint.origin} leads to ${url.origin}, ${why}: refused.`)
  if (url.username !== '' || url.password !== '') throw refused('with a password')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refused('which is not on the web')
  // Over HTTPS a name that changes its address after the check has no certificate that fits.
  if (url.protocol === 'http:' && endpoint.protocol === 'https:') throw refused('which is not encrypted')
  const [found, own] = await Promise.all([addressesOf(hub, url), addressesOf(hub, endpoint)])
  if (found.some((address) => linkLocal.check(address, familyOf(address)))) throw refused('an address of this machine')
  if (found.some(isInsideNetwork) && !own.some(isInsideNetwork)) throw refused('an address inside this network')
}

async function addressesOf({ lookup }: Hub, { hostname }: URL): Promise<readonly string[]> {
  const host = hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0) return [host]
  const found = await lookup(host).catch(() => [])
  // May be found the next time: a line that is down takes the names with it.
  if (found.length === 0) throw new RetryError(`the address of ${host} cannot be found`)
  return found.map(({ address }) => address)
}

function isInsideNetwork(address: string): boolean {
  return inside.check(address, familyOf(address))
}

const familyOf = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4')

/** Where clouds keep the credentials of a machine, among others: no hub of anybody is there. */
const linkLocal = listOf(['169.254.0.0/16', 'fe80::/10', 'fd00:ec2::254/128', '64:ff9b::a9fe:0/112'])

/** Loopback, private, carrier-grade NAT, multicast and reserved networks, and their forms in IPv6. */
const inside = listOf([
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '172.16.0.0/12', '192.0.0.0/24', '192.168.0.0/16'],
  ...['198.18.0.0/15', '224.0.0.0/4', '240.0.0.0/4', '::/128', '::1/128', 'fc00::/7', 'fec0::/10', 'ff00::/8'],
  // NAT64 and 6to4 lead to IPv4 addresses of any kind; no download needs them.
  ...['64:ff9b::/96', '64:ff9b:1::/48', '2002::/16'],
])

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', bits] = network.split('/')
    list.addSubnet(address, Number(bits), familyOf(address))
  }
  return list
}
