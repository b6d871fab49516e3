import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'

export type BrowserGuardOptions = Readonly<{
  /** Whether the service listens on loopback only. */
  boundToLoopback: boolean
  /** Origins of web pages that may call the service. */
  corsOrigins: readonly string[]
  /** Whether a request came from our own pages, an allowed origin, or no browser at all. */
  isFromOwnPage: (headers: IncomingHttpHeaders, allowedOrigins: readonly string[]) => boolean
}>

const loopbackNames: readonly string[] = ['localhost', '127.0.0.1', '[::1]']
const readingMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * Keeps web pages of others from using a person's own service: refuses a foreign Host (a page whose name was made to point at
 * this machine) where only loopback names make sense, and whatever changes something or opens a socket from a foreign page.
 * It holds for anonymous callers too, who have no cookie to protect but a model. Throws `forbidden`.
 */
export function createBrowserGuard(options: BrowserGuardOptions): (request: FastifyRequest) => void {
  const { boundToLoopback, corsOrigins, isFromOwnPage } = options
  const allowedHosts = new Set([...loopbackNames, ...corsOrigins.map((origin) => new URL(origin).hostname)])

  return ({ method, raw: { headers } }) => {
    if (boundToLoopback && !allowedHosts.has(hostName(headers.host))) {
      throw new AppError('forbidden', 'This Host is not served here. Use localhost, or add its origin to CORS_ORIGINS.')
    }
    const onlyReads = readingMethods.has(method) && headers.upgrade === undefined
    if (!onlyReads && !isFromOwnPage(headers, corsOrigins)) {
      throw new AppError('forbidden', 'Pages of other sites may not use this service. Its operator can add them to CORS_ORIGINS.')
    }
  }
}

function hostName(host: string | undefined): string {
  return URL.parse(`http://${host ?? ''}`)?.hostname ?? ''
}
