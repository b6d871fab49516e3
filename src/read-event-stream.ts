/** One server-sent event. `event` is `message` where the sender named none. */
export type ServerSentEvent = Readonly<{ event: string; data: string }>

/**
 * Reads server-sent events as the WHATWG standard says: lines end with CR LF, LF or CR, several `data` lines join with LF,
 * comments are skipped, and an event without its closing empty line is dropped.
 */
export async function* readEventStream(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder()
  let held: string[] = []
  let endsInReturn = false
  let draft: { event: string; data: string[] } = { event: '', data: [] }
  for await (const bytes of body) {
    const text = decoder.decode(bytes, { stream: true })
    // A long line that comes in many small pieces is put together once, not again with each of them.
    if (!endsInReturn && !/[\r\n]/.test(text)) {
      held.push(text)
      continue
    }
    const { lines, open } = splitLines(held.join('') + text)
    held = [open]
    endsInReturn = open.endsWith('\r')
    for (const line of lines) {
      if (line !== '') addField(draft, line)
      else {
        if (draft.data.length > 0) yield { event: draft.event || 'message', data: draft.data.join('\n') }
        draft = { event: '', data: [] }
      }
    }
  }
}

/** A CR at the very end stays open: it may be the first half of CR LF. */
function splitLines(text: string): { lines: string[]; open: string } {
  const held = text.endsWith('\r') ? 1 : 0
  const lines = text.slice(0, text.length - held).split(/\r\n|\n|\r/)
  const open = lines.splice(-1).join('')
  return { lines, open: open + text.slice(text.length - held) }
}

function addField(draft: { event: string; data: string[] }, line: string): void {
  const colon = line.indexOf(':')
  const name = colon === -1 ? line : line.slice(0, colon)
  const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
  if (name === 'data') draft.data.push(value)
  if (name === 'event') draft.event = value
}
