import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

export const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const gitBlob = (bytes: Uint8Array) => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')

/** What a request is for: the commit, the list of files, a file at the hub, a file at the host that it redirects to. */
export type HubRequest = Readonly<{
  kind: 'revision' | 'tree' | 'resolve' | 'cdn'
  url: string
  range: string | undefined
  authorization: string | undefined
  headers: IncomingMessage['headers']
}>

/** Answers instead of the hub: gives true when it has (or will). `content` is the file that is asked for. */
export type Fault = (request: HubRequest, response: ServerResponse, content: Buffer) => boolean | undefined

export type HubOptions = Readonly<{
  /** The files of each repository. */
  repositories: Readonly<Record<string, Readonly<Record<string, Buffer>>>>
  /** Small files are not kept as large ones: they are recorded by the checksum of git. */
  small?: (path: string) => boolean
  /** Entries a page. */
  pageSize?: number
  /** Sends the files itself instead of redirecting to another host. */
  sendsFiles?: boolean
  fault?: Fault
}>

export const commit = 'c0ffee'.padEnd(40, '0')

/** A hub that closes at the end of the test. */
export async function startHub(options: HubOptions) {
  const hub = await openHub(options)
  onTestFinished(hub.close)
  return hub
}

/** A hub on loopback, as far as a download sees one, and the host that its files come from. */
export async function openHub({ repositories, small = () => false, pageSize = 1000, sendsFiles = false, fault }: HubOptions) {
  const requests: HubRequest[] = []
  let sentBytes = 0
  let onBytes = () => {}
  const findFile = (path: string) =>
    Object.entries(repositories).find(([name]) => path.startsWith(`${name}/`))?.[1][path.split('/').slice(2).join('/')]
  const findBlob = (hash: string) =>
    Object.values(repositories)
      .flatMap((all) => Object.values(all))
      .find((bytes) => sha256(bytes) === hash)

  function note(kind: HubRequest['kind'], { url = '', headers }: IncomingMessage): HubRequest {
    const request = { kind, url, range: headers.range, authorization: headers.authorization, headers }
    requests.push(request)
    return request
  }

  function serve(request: HubRequest, response: ServerResponse, content: Buffer): void {
    const write = response.write.bind(response)
    const count: typeof response.write = (chunk: Buffer, ...rest: never[]) => {
      sentBytes += chunk.length
      onBytes()
      return write(chunk, ...rest)
    }
    response.write = count
    if (fault?.(request, response, content) === true) return
    sendRange(content, request.range, response)
  }

  const cdn = await listen((incoming, response) => {
    const request = note('cdn', incoming)
    const content = findBlob(request.url.slice(1, 65))
    if (content === undefined) return void response.writeHead(404).end()
    serve(request, response, content)
  })
  const endpoint = await listen((incoming, response) => {
    const { url = '' } = incoming
    const [, repository = '', what, revision, query = ''] =
      /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^?]+)\??(.*)$/.exec(url) ?? []
    if (what === 'revision' || what === 'tree') {
      const request = note(what, incoming)
      if (fault?.(request, response, Buffer.alloc(0)) === true) return
      const all = repositories[repository]
      if (all === undefined) return void response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end()
      if (what === 'revision') return void json(response, { sha: commit })
      if (revision !== commit) return void response.writeHead(404).end()
      return sendTree(response, endpoint.url, {
        path: url.split('?')[0] ?? '',
        all,
        small,
        from: Number(new URLSearchParams(query).get('cursor') ?? 0),
        pageSize,
      })
    }
    const request = note('resolve', incoming)
    const content = findFile(decodeURIComponent(url.slice(1)).replace(`/resolve/${commit}/`, '/'))
    if (content === undefined) return void response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end()
    if (sendsFiles) return serve(request, response, content)
    if (fault?.(request, response, content) === true) return
    response.writeHead(302, { location: `${cdn.url}/${sha256(content)}?signature=secret` }).end()
  })
  return {
    endpoint: endpoint.url,
    cdn: cdn.url,
    close() {
      endpoint.close()
      cdn.close()
    },
    requests,
    of: (...kinds: readonly HubRequest['kind'][]) => requests.filter(({ kind }) => kinds.includes(kind)),
    /** Bytes of files that were handed to the network. */
    sentBytes: () => sentBytes,
    /** Calls `listener`, and no earlier one, whenever bytes of files are sent. */
    onBytes(listener: () => void) {
      onBytes = listener
    },
  }
}

type Tree = Readonly<{
  path: string
  all: Readonly<Record<string, Buffer>>
  small: (path: string) => boolean
  from: number
  pageSize: number
}>

function sendTree(response: ServerResponse, endpoint: string, { path, all, small, from, pageSize }: Tree): void {
  const folders = [...new Set(Object.keys(all).flatMap((name) => (name.includes('/') ? [name.replace(/\/[^/]*$/, '')] : [])))]
  const entries = [
    ...folders.map((folder) => ({ type: 'directory', oid: 'd'.repeat(40), size: 0, path: folder })),
    ...Object.entries(all).map(([name, content]) => {
      const file = { type: 'file', path: name, size: content.length, oid: gitBlob(content) }
      return small(name) ? file : { ...file, lfs: { oid: sha256(content), size: content.length, pointerSize: 134 } }
    }),
  ]
  if (from + pageSize < entries.length)
    response.setHeader('link', `<${endpoint}${path}?recursive=true&cursor=${from + pageSize}>; rel="next"`)
  json(response, entries.slice(from, from + pageSize))
}

function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body))
}

/** Sends the bytes that are asked for, as the hub does. */
export function sendRange(content: Buffer, range: string | undefined, response: ServerResponse): void {
  const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? []
  const part = content.subarray(Number(from), to === '' ? content.length : Number(to) + 1)
  if (range !== undefined)
    response.setHeader('content-range', `bytes ${from}-${Number(from) + part.length - 1}/${content.length}`)
  response.writeHead(range === undefined ? 200 : 206, { 'content-length': part.length, etag: `"${sha256(content)}"` })
  sendPieces(response, part)
}

/** In small pieces, each when the last one has left: what is counted as sent then really is on its way. */
function sendPieces(response: ServerResponse, bytes: Buffer): void {
  if (bytes.length === 0) return void response.end()
  response.write(bytes.subarray(0, pieceBytes), (error) => {
    if (!error && !response.destroyed) sendPieces(response, bytes.subarray(pieceBytes))
  })
}

const pieceBytes = 16 * 1024

async function listen(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // a TCP server has no other kind of address
  return { url: `http://127.0.0.1:${port}`, close: () => void server.close().closeAllConnections() }
}

/** Gives nothing of the files of a hub until it is opened. */
export function createGate() {
  const held: Array<() => void> = []
  let isOpen = false
  const fault: Fault = ({ kind, range }, response, bytes) => {
    if (kind !== 'cdn' || isOpen) return false
    held.push(() => sendRange(bytes, range, response))
    return true
  }
  const open = () => {
    isOpen = true
    for (const release of held.splice(0)) release()
  }
  return { fault, open, isReached: () => held.length > 0 }
}
