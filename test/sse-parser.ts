/** One event as a browser's EventSource would dispatch it. */
export type ParsedEvent = Readonly<{ event: string; data: string }>

/** Reads a `text/event-stream` the way the WHATWG standard says, byte by byte if need be. */
export function createEventStreamParser() {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  let skipLineFeed = false
  let event = ''
  let data = ''

  function line(text: string, events: ParsedEvent[]): void {
    if (text === '') {
      if (data !== '') events.push({ event: event || 'message', data: data.endsWith('\n') ? data.slice(0, -1) : data })
      event = ''
      data = ''
      return
    }
    if (text.startsWith(':')) return
    const colon = text.indexOf(':')
    const field = colon < 0 ? text : text.slice(0, colon)
    const raw = colon < 0 ? '' : text.slice(colon + 1)
    const value = raw.startsWith(' ') ? raw.slice(1) : raw
    if (field === 'data') data += `${value}\n`
    else if (field === 'event') event = value
  }

  return {
    push(bytes: Uint8Array): ParsedEvent[] {
      const events: ParsedEvent[] = []
      for (const character of decoder.decode(bytes, { stream: true })) {
        if (skipLineFeed && character === '\n') {
          skipLineFeed = false
          continue
        }
        skipLineFeed = character === '\r'
        if (character === '\n' || character === '\r') {
          line(rest, events)
          rest = ''
        } else rest += character
      }
      return events
    },
  }
}

export function parseEventStream(text: string): ParsedEvent[] {
  return createEventStreamParser().push(new TextEncoder().encode(text))
}

/** The events of an answer, as they arrive. */
export async function* readEvents(response: Response): AsyncGenerator<ParsedEvent> {
  if (response.body === null) return
  const parser = createEventStreamParser()
  for await (const chunk of response.body) yield* parser.push(chunk)
}

/** The text of all pieces, and the last event when it is a named one. */
export function joinEvents(events: readonly ParsedEvent[]): Readonly<{ text: string; end: ParsedEvent | undefined }> {
  return {
    text: events
      .filter(({ event }) => event === 'message')
      .map(({ data }) => data)
      .join(''),
    end: events.findLast(({ event }) => event !== 'message'),
  }
}
