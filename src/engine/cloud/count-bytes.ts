type Count = (bytes: number) => void
type Body = NonNullable<RequestInit['body']>

type CountedBody = Readonly<{
  /** What `fetch` is to get in place of the body. */
  init: Readonly<{ body?: Body; duplex?: 'half' }>
  /** What the kind of body asks for, where the request does not say otherwise. */
  headers: ReadonlyArray<readonly [string, string]>
}>

/** Counts a request's body: at once where its size is known, piece by piece where it streams. */
export async function countBody(body: Body | null | undefined, count: Count): Promise<CountedBody> {
  if (body === null || body === undefined) return { init: {}, headers: [] }
  if (typeof body === 'string') return known(body, Buffer.byteLength(body), count)
  if (body instanceof URLSearchParams) return known(body, Buffer.byteLength(body.toString()), count)
  if (body instanceof Blob) return known(body, body.size, count)
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return known(body, body.byteLength, count)
  if (body instanceof FormData) {
    // Written out here: only so are its bytes known, and its boundary must be the one of the header.
    const written = new Response(body)
    const bytes = await written.arrayBuffer()
    count(bytes.byteLength)
    return { init: { body: bytes }, headers: [['content-type', written.headers.get('content-type') ?? 'multipart/form-data']] }
  }
  return { init: { body: ReadableStream.from(countPieces(body, count)), duplex: 'half' }, headers: [] }
}

function known(body: Body, bytes: number, count: Count): CountedBody {
  count(bytes)
  return { init: { body }, headers: [] }
}

async function* countPieces(body: AsyncIterable<unknown> | Iterable<unknown>, count: Count): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    const bytes = piece instanceof Uint8Array ? piece : Buffer.from(String(piece))
    count(bytes.length)
    yield bytes
  }
}

/** The same answer, whose body is counted while it is read. */
export function countedResponse(response: Response, count: Count): Response {
  if (response.body === null) return response
  const { status, statusText, headers } = response
  const counted = new Response(countedStream(response.body, count), { status, statusText, headers })
  // A new answer has no address, and some readers name it in their messages.
  return Object.defineProperty(counted, 'url', { value: response.url })
}

/** Not piped: a pipe reads ahead, and drops what it holds when the connection breaks. */
function countedStream(body: ReadableStream<Uint8Array>, count: Count): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read()
        if (done) return controller.close()
        count(value.byteLength)
        controller.enqueue(value)
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}

/** Bytes of a first line and of headers, as HTTP/1.1 writes them. */
export function headBytes(line: string, headers: Headers): number {
  let bytes = Buffer.byteLength(line) + 2
  for (const [name, value] of headers) bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 4
  return bytes + 2
}
