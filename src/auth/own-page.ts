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
  return URL.canParse(origin) && new URL(origin).host === host
}
