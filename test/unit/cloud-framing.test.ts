import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Egress } from '../../src/engine/cloud/egress.ts'
import type { GenerateEvent } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { anthropicMessage, callDelta, chatCompletion, delta, textBlock, thinkingBlock, toolBlock } from '../cloud-transcripts.ts'
import { createCloudWorld, type Kind, listEvents } from '../cloud-world.ts'
import { egressOf } from '../fake-egress.ts'

const emoji = 'a 👩‍🚀 is née'
const transcripts = {
  claude: anthropicMessage(
    'tool_use',
    thinkingBlock(0, 'c2ln', emoji),
    textBlock(1, emoji, '\r\n'),
    toolBlock(2, 'a', 'one', '{"a":', '"👩‍🚀"}'),
    toolBlock(3, 'b', 'two'),
  ),
  openai: chatCompletion(
    'tool_calls',
    delta({ reasoning: emoji }),
    delta({ content: emoji }),
    delta({ content: '\r\n' }),
    callDelta(0, { id: 'a', function: { name: 'one', arguments: '{"a":' } }),
    callDelta(0, { function: { arguments: '"👩‍🚀"}' } }),
    callDelta(1, { id: 'b', function: { name: 'two', arguments: '' } }),
  ),
}

/** Answers with some pieces of bytes. */
function streamOf(pieces: readonly Uint8Array[]): Egress {
  const respond = async () => new Response(ReadableStream.from(pieces), { headers: { 'content-type': 'text/event-stream' } })
  return egressOf(respond)
}

function eventsOf(kind: Kind, pieces: readonly Uint8Array[]): Promise<readonly GenerateEvent[]> {
  const { provider } = createCloudWorld(kind, ['http://127.0.0.1:1'], { egress: streamOf(pieces), maxRetries: 0 })
  return listEvents(provider)
}

describe.each(['claude', 'openai'] as const)('the stream of %s', (kind) => {
  const bytes = Buffer.from(transcripts[kind])

  test('means the same wherever the network cuts it, and whatever ends its lines', async () => {
    const whole = await eventsOf(kind, [bytes])
    expect(whole.map((event) => (event.type === 'text-delta' ? event.text : '')).join('')).toBe(`${emoji}\r\n`)
    const ends = fc.constantFrom('\n', '\r\n', '\r')
    const cuts = fc.array(fc.nat(bytes.length + 200), { maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(ends, cuts, async (end, places) => {
        const text = Buffer.from(transcripts[kind].replaceAll('\n', end))
        const sorted = [0, ...places, text.length].sort((a, b) => a - b)
        const pieces = sorted.slice(1).map((place, index) => text.subarray(sorted[index], place))
        expect(await eventsOf(kind, pieces)).toEqual(whole)
      }),
    )
  })

  test('never ends in silence when it is cut off', async () => {
    const last = kind === 'claude' ? bytes.lastIndexOf('event: message_stop') : bytes.lastIndexOf('"finish_reason":"tool_calls"')
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: last }), async (length) => {
        await expect(eventsOf(kind, [bytes.subarray(0, length)])).rejects.toMatchObject({ code: 'upstream' })
      }),
    )
  })

  test('comes to an end, or to an error of ours, whatever is in it', async () => {
    const lines = transcripts[kind].split('\n\n')
    const change = fc.record({
      line: fc.nat(lines.length - 1),
      how: fc.constantFrom('drop', 'twice', 'value', 'noise'),
      value: fc.jsonValue(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const changed = lines.flatMap((line, index) => {
          const { how, value } = changes.find((one) => one.line === index) ?? {}
          if (how === 'drop') return []
          if (how === 'twice') return [line, line]
          if (how === 'noise') return [`data: ${JSON.stringify(value).slice(1)}`]
          return [how === 'value' ? line.replace(/:("[^"]*"|\d+|null)/, () => `:${JSON.stringify(value)}`) : line]
        })
        const result = await eventsOf(kind, [Buffer.from(changed.join('\n\n'))]).catch((error: unknown) => error)
        if (result instanceof AppError) {
          // There is no network here: what could not be explained is a fault of ours.
          expect(result.message).not.toContain('cannot be reached')
          return
        }
        expect(result).toSatisfy((events) => Array.isArray(events) && events.at(-1).type === 'generation-end')
        expect(result).toSatisfy((events) => events.filter(({ type }: GenerateEvent) => type === 'choice-end').length === 1)
      }),
      { numRuns: 300 },
    )
  })
})
