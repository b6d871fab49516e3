import { expect, test } from 'vitest'
import type { GenerateEvent } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { openEvents } from '../../src/predict/open-events.ts'
import { generationEnd } from '../scripted-host.ts'

const text = (piece: string): GenerateEvent => ({ type: 'text-delta', index: 0, text: piece })

function world(script: readonly GenerateEvent[]) {
  const seen: string[] = []
  async function* generate(): AsyncGenerator<GenerateEvent, undefined> {
    try {
      for (const event of script) yield event
    } catch (error) {
      seen.push(error instanceof AppError ? error.code : 'other')
      throw error
    } finally {
      seen.push('freed')
    }
  }
  return { gone: new AbortController(), generation: generate(), seen }
}

test('all events come, the first one included', async () => {
  const { gone, generation, seen } = world([text('a'), text('b'), generationEnd()])
  const got: GenerateEvent[] = []
  for await (const event of await openEvents(generation, gone.signal)) got.push(event)
  expect(got).toEqual([text('a'), text('b'), generationEnd()])
  expect(seen).toEqual(['freed'])
})

test('what nobody has begun to read can be closed', async () => {
  const { gone, generation, seen } = world([text('a'), text('b')])
  const events = await openEvents(generation, gone.signal)
  await events.return?.()
  expect(seen).toEqual(['freed'])
  expect(await events.next()).toEqual({ done: true, value: undefined })
  await events.close()
  expect(seen).toEqual(['freed'])
})

test('a signal frees the model though nobody reads, and who reads later is told', async () => {
  for (const pieces of [0, 1]) {
    const { gone, generation, seen } = world([text('a'), text('b'), text('c')])
    const events = await openEvents(generation, gone.signal)
    for (let piece = 0; piece < pieces; piece += 1) await events.next()
    gone.abort()
    await expect.poll(() => seen).toEqual(['aborted', 'freed'])
    await expect(events.next()).rejects.toMatchObject({ code: 'aborted' })
    await events.close()
  }
})

test('a signal that came while the first event was written frees the model', async () => {
  const { gone, generation, seen } = world([text('a'), text('b')])
  gone.abort()
  const events = await openEvents(generation, gone.signal)
  await expect(events.next()).rejects.toMatchObject({ code: 'aborted' })
  expect(seen).toEqual(['aborted', 'freed'])
})

test('an answer that has given its last event has not failed when its caller leaves', async () => {
  const { gone, generation, seen } = world([text('a'), generationEnd()])
  const events = await openEvents(generation, gone.signal)
  for (let event = 0; event < 2; event += 1) await events.next()
  gone.abort()
  expect(await events.next()).toEqual({ done: true, value: undefined })
  expect(seen).toEqual(['freed'])
})
