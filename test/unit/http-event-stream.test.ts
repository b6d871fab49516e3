import { once } from 'node:events'
import { createServer } from 'node:http'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { clientGone, createTextFormatter, formatEvent } from '../../src/http/event-stream.ts'
import { joinEvents, parseEventStream } from '../sse-parser.ts'

const normalized = (text: string) => text.replace(/\r\n|\r/g, '\n')
const linesAndWords = fc.string({
  unit: fc.constantFrom('\r', '\n', '\r\n', ' ', ':', 'data: ', 'é', '😀', '\u2028', 'a', '\u0000'),
})

describe('an event', () => {
  test('keeps its text through a conforming reader, with \\n for each line break', () => {
    fc.assert(
      fc.property(linesAndWords, (text) => {
        expect(parseEventStream(formatEvent(text, 'done'))).toEqual([{ event: 'done', data: normalized(text) }])
      }),
    )
  })

  test('keeps leading and trailing spaces', () => {
    expect(parseEventStream(formatEvent('  two '))).toEqual([{ event: 'message', data: '  two ' }])
  })
})

describe('the pieces of a text', () => {
  test('join to the text with \\n for each line break, wherever they are cut', () => {
    fc.assert(
      fc.property(fc.array(linesAndWords), (pieces) => {
        const format = createTextFormatter()
        const { text } = joinEvents(parseEventStream(pieces.map(format).join('')))
        expect(text).toBe(normalized(pieces.join('')))
      }),
    )
  })

  test('a \\r\\n that is cut in two is one line break', () => {
    const format = createTextFormatter()
    expect(['a\r', '', '\nb', '\n'].map(format)).toEqual(['data: a\ndata: \n\n', '', 'data: b\n\n', 'data: \ndata: \n\n'])
  })
})

describe('a caller', () => {
  test('who got the whole answer is not one who left', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const answered = once(server, 'request').then(async ([, raw]) => {
      const gone = clientGone({ raw })
      const closed = once(raw, 'close')
      raw.end('all of it')
      await closed
      return gone.aborted
    })
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : 0
    expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('all of it')
    expect(await answered).toBe(false)
    server.close()
  })
})
