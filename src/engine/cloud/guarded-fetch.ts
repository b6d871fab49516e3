import { AppError } from '../../errors.ts'
import { nonsense } from './cloud-failure.ts'
import type { Watch } from './watch.ts'

type GuardedFetchOptions = Readonly<{
  provider: string
  fetch: typeof globalThis.fetch
  /** All headers that are sent. */
  headers: Readonly<Record<string, string>>
  expects: 'stream' | 'json'
  watch: Watch
}>

/** More than any event of a stream holds. */
const longestLine = 4 * 1024 * 1024
/** More than an error says. */
const longestError = 64 * 1024

/**
 * A `fetch` for an API's client. Sends the given headers alone: the clients add what they find in the environment, and tell the
 * machine's platform. Takes no redirect: it would carry the prompt elsewhere. Answers that are neither JSON nor an event stream, and
 * lines without an end, fail the watch.
 */
export function createGuardedFetch({ provider, fetch, headers, expects, watch }: GuardedFetchOptions): typeof globalThis.fetch {
  return async (input, init = {}) => {
    const response = await unwrapped(() => fetch(input, { ...init, headers, redirect: 'manual' }), watch)
    watch.beat()
    if (!response.ok) return withShortBody(response)
    const type = response.headers.get('content-type') ?? 'nothing that says what it is'
    if (!type.toLowerCase().startsWith(typeOf[expects])) {
      await response.body?.cancel().catch(() => {})
      const error = nonsense(provider, `${type.slice(0, 100)} where an answer was expected`)
      watch.fail(error)
      throw error
    }
    return new Response(response.body?.pipeThrough(createLineGuard(provider, watch)) ?? null, response)
  }
}

/** The clients wrap what they are thrown; ours must stay what it is. */
async function unwrapped(send: () => Promise<Response>, watch: Watch): Promise<Response> {
  try {
    return await send()
  } catch (error) {
    if (error instanceof AppError) watch.fail(error)
    throw error
  }
}

const typeOf = { stream: 'text/event-stream', json: 'application/json' }

/** The beginning of an error's text. */
async function withShortBody(response: Response): Promise<Response> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk)
    length += chunk.length
    if (length > longestError) break
  }
  const { status, headers } = response
  return new Response(Buffer.concat(chunks).subarray(0, longestError), { status, headers })
}

const lineFeed = 10
const carriageReturn = 13

function createLineGuard(provider: string, watch: Watch): TransformStream<Uint8Array, Uint8Array> {
  let length = 0
  return new TransformStream({
    transform(chunk, controller) {
      watch.beat()
      const lastBreak = Math.max(chunk.lastIndexOf(lineFeed), chunk.lastIndexOf(carriageReturn))
      length = lastBreak < 0 ? length + chunk.length : chunk.length - lastBreak
      if (length <= longestLine) return controller.enqueue(chunk)
      const error = nonsense(provider, 'a line without an end')
      watch.fail(error)
      controller.error(error)
    },
  })
}
