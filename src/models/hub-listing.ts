import Type, { type Static, type TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { AppError } from '../errors.ts'
import { RetryError, reasonOf, refuseFailure, withRetries } from './hub-answer.ts'
import { askHub, type Hub } from './hub-request.ts'

/** What the hub says of one file of a repository. */
export type HubFile = Readonly<{
  path: string
  sizeBytes: number
  /** Large files are recorded by their SHA-256, small ones by the checksum of git. */
  digest: Readonly<{ algorithm: 'sha256' | 'git'; hex: string }>
  /** Leads to the bytes of this commit. */
  url: string
}>

/** All files of a repository at one commit. */
export type HubListing = Readonly<{ repository: string; commit: string; files: readonly HubFile[] }>

export type ListOptions = Readonly<{ hub: Hub; now: () => number; wait: (ms: number) => Promise<void> }>

const answerTimeoutMs = 10_000
const maxAnswerBytes = 32 * 1024 ** 2
const maxPages = 1000
const maxFiles = 100_000

// Only what is used; the hub may add fields any day.
const revisionAnswer = Type.Object({ sha: Type.String({ pattern: '^[0-9a-f]{40,64}$' }) })
const treeAnswer = Type.Array(
  Type.Object({
    type: Type.String(),
    path: Type.String(),
    oid: Type.String(),
    size: Type.Optional(Type.Integer({ minimum: 0 })),
    lfs: Type.Optional(Type.Object({ oid: Type.String({ pattern: '^[0-9a-f]{64}$' }), size: Type.Integer({ minimum: 0 }) })),
  }),
)
type TreeEntry = Static<typeof treeAnswer>[number]

/**
 * Asks the hub for the files of a repository as they are now. All later requests name the commit, so that a change of the repository
 * on the way can't mix two versions. Throws `unavailable` when the hub can't be reached, `not_found`, `forbidden`, `upstream`.
 */
export async function listHubFiles(options: ListOptions, repository: string, signal: AbortSignal): Promise<HubListing> {
  const base = `${options.hub.endpoint.replace(/\/+$/, '')}`
  const { sha: commit } = (
    await getJson(options, { url: `${base}/api/models/${repository}/revision/main`, repository }, revisionAnswer, signal)
  ).body
  const tree = `${base}/api/models/${repository}/tree/${commit}`
  const files: HubFile[] = []
  let query: string | undefined = '?recursive=true'
  for (let page = 0; query !== undefined; page += 1) {
    if (page === maxPages || files.length > maxFiles)
      throw new AppError('upstream', `The hub lists the files of ${repository} without end.`)
    const answer = await getJson(options, { url: `${tree}${query}`, repository }, treeAnswer, signal)
    const urlOf = (path: string) => `${base}/${repository}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`
    files.push(...answer.body.flatMap((entry) => toFile(entry, urlOf)))
    // Only the query of the link: a mirror passes on links of the hub that it mirrors.
    query = readNextQuery(answer.response.headers.get('link'))
  }
  return { repository, commit, files }
}

function toFile(entry: TreeEntry, urlOf: (path: string) => string): readonly HubFile[] {
  const { type, path, oid, size, lfs } = entry
  if (type !== 'file') return []
  if (lfs !== undefined) return [{ path, sizeBytes: lfs.size, digest: { algorithm: 'sha256', hex: lfs.oid }, url: urlOf(path) }]
  if (size === undefined || !/^[0-9a-f]{40}$/.test(oid)) return []
  return [{ path, sizeBytes: size, digest: { algorithm: 'git', hex: oid }, url: urlOf(path) }]
}

function readNextQuery(link: string | null): string | undefined {
  const [, next = ''] = /<([^<>]*)>\s*;\s*rel="?next"?/.exec(link ?? '') ?? []
  return URL.canParse(next, 'https://hub') ? new URL(next, 'https://hub').search || undefined : undefined
}

type Question = Readonly<{ url: string; repository: string }>

async function getJson<T extends TSchema>(options: ListOptions, { url, repository }: Question, schema: T, signal: AbortSignal) {
  const { hub, now, wait } = options
  return withRetries(
    async () => {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)])
      try {
        const { response } = await askHub(hub, url, { accept: 'application/json' }, limit)
        await refuseFailure(response, `${hub.endpoint}/${repository}`, repository, now)
        return { response, body: readBody(await readText(response), schema, url) }
      } catch (cause) {
        if (signal.aborted) throw new AppError('aborted', 'The download was stopped.', { cause })
        if (cause instanceof AppError || cause instanceof RetryError) throw cause
        throw new AppError('unavailable', `${hub.endpoint} cannot be used: ${reasonOf(cause)}.`, { cause })
      }
    },
    { wait, code: 'unavailable' },
  )
}

function readBody<T extends TSchema>(text: string, schema: T, url: string): Static<T> {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (cause) {
    const kind = /^\s*<(?:!doctype|html)/i.test(text) ? 'a web page' : 'no valid JSON'
    throw new AppError('upstream', `${url} answered ${kind} where a list of files was expected. Is HF_ENDPOINT a model hub?`, {
      cause,
    })
  }
  if (Value.Check(schema, body)) return body
  throw new AppError('upstream', `${url} answered something else than a hub does. Is HF_ENDPOINT a model hub?`)
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > maxAnswerBytes) throw new AppError('upstream', `${response.url} answers without end.`)
  }
  return text + decoder.decode()
}
