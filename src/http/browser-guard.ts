import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'

export type BrowserGuardOptions = Readonly<{
  /** Whether the service listens on loopback only. */
  boundToLoopback: boolean
  /** Names by which the service is reached, besides those that no page of the internet can have. `*.example.com`: with one part more. */
  allowedHosts?: readonly string[]
  /** Origins of web pages that may call the service. */
  corsOrigins: readonly string[]
  /** Whether a request came from our own pages, an allowed origin, or no browser at all. */
  isFromOwnPage: (headers: IncomingHttpHeaders, allowedOrigins: readonly string[]) => boolean
}>

const loopbackNames: readonly string[] = ['localhost', '127.0.0.1', '[::1]']
/** Ends of names that the public name system does not give to anybody (RFC 2606, 6761, 6762, 8375; .internal of ICANN), or of clusters. */
const privateEndings = ['.localhost', '.local', '.internal', '.home.arpa', '.lan', '.test', '.svc', '.cluster.local']
const readingMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * Keeps web pages of others from using a person's own service: refuses a foreign Host (a page whose name was made to point at
 * this machine), and whatever changes something or opens a socket from a foreign page. It holds for anonymous callers too, who
 * have no cookie to protect but a model. Throws `forbidden`.
 *
 * On loopback only loopback names are ours. Where other machines may come, addresses are good (a page that is shown by its address
 * is no other's), and so are names that nobody can have in the internet. Others are named by the operator; where none is, a trusted
 * proxy answers for the names that it passes on.
 */
export function createBrowserGuard(options: BrowserGuardOptions): (request: FastifyRequest) => void {
  const { boundToLoopback, corsOrigins, isFromOwnPage } = options
  const named = (options.allowedHosts ?? []).map((host) => host.toLowerCase())
  const allowedHosts = new Set([...loopbackNames, ...named, ...corsOrigins.map((origin) => new URL(origin).hostname)])
  // Not on loopback: a browser on this machine comes from where the proxy comes from, and may say that it asks for somebody.
  const believesProxy = !boundToLoopback && named.length === 0
  const isAllowed = (name: string) =>
    allowedHosts.has(name) || (!isAddress(name) && allowedHosts.has(name.replace(/^[^.]+/, '*')))
  const isOurs = (name: string) => isAllowed(name) || (!boundToLoopback && isPrivateName(name))

  return (request) => {
    const { method, raw } = request
    const { headers } = raw
    if (!isOurs(hostName(headers.host)) && !(believesProxy && cameThroughProxy(request))) {
      throw new AppError(
        'forbidden',
        'This Host is not served here. Use localhost or an address, or add the name to ALLOWED_HOSTS.',
      )
    }
    const onlyReads = readingMethods.has(method) && headers.upgrade === undefined
    if (!onlyReads && !isFromOwnPage(headers, corsOrigins)) {
      throw new AppError('forbidden', 'Pages of other sites may not use this service. Its operator can add them to CORS_ORIGINS.')
    }
  }
}

/** Whether no page of the internet can have this name. One without a dot is known in its own network alone. */
function isPrivateName(name: string): boolean {
  if (name === '') return false
  return isAddress(name) || !name.includes('.') || privateEndings.some((end) => name.endsWith(end))
}

const isAddress = (name: string) => isIP(name.replace(/^\[|\]$/g, '')) !== 0

/** There is a second address where the first one is a trusted proxy that says for whom it asks. */
const cameThroughProxy = ({ ips }: Pick<FastifyRequest, 'ips'>) => (ips?.length ?? 0) > 1

function hostName(host: string | undefined): string {
  return URL.parse(`http://${host ?? ''}`)?.hostname ?? ''
}
