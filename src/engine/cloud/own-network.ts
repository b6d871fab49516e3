import ipaddr from 'ipaddr.js'

const privateRanges: ReadonlySet<string> = new Set(['loopback', 'private', 'uniqueLocal'])

/**
 * Whether a host is written as an address of this machine or of a private network (RFC 1918, RFC 4193), or as `localhost`. A name is not:
 * nobody can promise where it leads. Link-local addresses are not: machines of clouds have their secrets there.
 */
export function isPrivateAddress(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase()
  if (bare === 'localhost') return true
  return ipaddr.isValid(bare) && privateRanges.has(ipaddr.process(bare).range())
}

/** Names that nobody can register: of one word, or below domains that are kept for private use. */
const innerName = /^(?:[a-z0-9-]+|(?:[a-z0-9-]+\.)+(?:local|internal|lan|svc|localhost|home\.arpa|svc\.cluster\.local))$/

/** Whether a host is one of the operator's own network, by its address or by its name. */
export function isOwnNetwork(host: string): boolean {
  return isPrivateAddress(host) || (!ipaddr.isValid(host.replace(/^\[|\]$/g, '')) && innerName.test(host.toLowerCase()))
}
