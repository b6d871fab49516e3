import type { IncomingHttpHeaders } from 'node:http'

/** What scripts that can set no header offer beside their token: `new WebSocket(url, ['simpleia', 'bearer.TOKEN'])`. */
export const socketProtocol = 'simpleia'
const ofToken = /^bearer\.(.+)$/

export const protocolsOf = (headers: IncomingHttpHeaders): readonly string[] =>
  (headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim())

export function tokenOfProtocols(protocols: readonly string[]): string | undefined {
  return protocols.flatMap((protocol) => ofToken.exec(protocol)?.[1] ?? [])[0]
}

/** Which of those that are offered is spoken: never the one that is a token, as answers are not to hold it. */
export function chooseProtocol(protocols: Iterable<string>): string | false {
  return [...protocols].find((protocol) => !ofToken.test(protocol)) ?? false
}
