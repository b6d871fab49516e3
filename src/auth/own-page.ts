import type { IncomingHttpHeaders } from 'node:http'

/**
 * Whether a request came from one of our own pages, an allowed origin, or no browser at all. Browsers send `Origin` with
 * whatever changes state and with each WebSocket handshake, so that a request with neither header is a program's.
 */
export function isFromOwnPage(headers: IncomingHttpHeaders, allowedOrigins: readonly string[]): boolean {
  const { origin, host } = headers
  if (origin !== undefined && allowedOrigins.includes(origin)) return true
  const site = headers['sec-fetch-site']
  // "same-site" is not enough: every port of localhost is one site.
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  if (origin === undefined) return true
  return hostOf(origin) !== undefined && hostOf(origin) === hostOf(`${origin.split(':')[0]}://${host}`)
}

// The scheme is not compared: behind a proxy that ends TLS the page is https and this request http. It tells the default port.
function hostOf(url: string): string | undefined {
  return URL.parse(url)?.host
}
