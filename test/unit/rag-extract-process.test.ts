import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import {
  createExtractor,
  type ExtractorChild,
  spawnExtractor,
  usualExtractLimits,
} from '../../src/rag/extract/extract-process.ts'
import type { FromExtractor, ToExtractor } from '../../src/rag/extract/extract-protocol.ts'
import { makePdf } from '../document-files.ts'

const never = new AbortController().signal
const hints = { name: 'a.txt' }
const document = { text: 'x', sections: [], mediaType: 'text/plain' }

/** A child that answers as the script says; `hang` never does, `die` ends. */
function scripted(script: (message: ToExtractor) => FromExtractor | 'hang' | 'die') {
  const spawned: Array<{ killed: boolean; listeners: number }> = []
  const spawn = (): ExtractorChild => {
    const state = { killed: false, listeners: 0 }
    spawned.push(state)
    let answer: (message: FromExtractor) => void = () => {}
    let exit: (reason: string) => void = () => {}
    return {
      send(message) {
        const outcome = script(message)
        if (outcome === 'die') queueMicrotask(() => exit('SIGKILL'))
        else if (outcome !== 'hang') queueMicrotask(() => answer(outcome))
      },
      kill() {
        state.killed = true
        queueMicrotask(() => exit('SIGKILL'))
      },
      onMessage: (listener) => {
        state.listeners += 1
        answer = listener
      },
      onExit: (listener) => {
        exit = listener
      },
    }
  }
  return { spawn, spawned }
}

const byPath = ({ path }: ToExtractor) =>
  path === 'hang' ? 'hang' : path === 'die' ? 'die' : ({ type: 'extracted', document } as const)

test('one process reads file after file, and is listened to once', async () => {
  const { spawn, spawned } = scripted(byPath)
  const extractor = createExtractor(spawn)
  await Promise.all(['a', 'b', 'c'].map((path) => extractor.extract(path, hints, never)))
  await extractor.close()
  expect(spawned).toEqual([{ killed: true, listeners: 1 }])
})

test('a file that takes too long, and one of which the process dies, fail alone', async () => {
  const { spawn, spawned } = scripted(byPath)
  const extractor = createExtractor(spawn, { ...usualExtractLimits, timeMs: 20 })
  const [slow, good, deadly, last] = await Promise.allSettled(
    ['hang', 'a', 'die', 'b'].map((path) => extractor.extract(path, hints, never)),
  )
  await extractor.close()
  expect(slow).toMatchObject({ reason: { code: 'unprocessable', message: expect.stringContaining('seconds') } })
  expect(deadly).toMatchObject({ reason: { code: 'unprocessable', message: expect.stringContaining('memory') } })
  expect([good?.status, last?.status]).toEqual(['fulfilled', 'fulfilled'])
  expect(spawned).toHaveLength(3)
})

test('a caller who leaves ends the reading of their file, and the next one goes on', async () => {
  const { spawn } = scripted(byPath)
  const extractor = createExtractor(spawn)
  const gone = new AbortController()
  const reading = extractor.extract('hang', hints, gone.signal)
  const next = extractor.extract('a', hints, never)
  gone.abort()
  await expect(reading).rejects.toMatchObject({ code: 'aborted' })
  expect(await next).toBe(document)
  await extractor.close()
})

test('a caller who leaves while their file waits is answered at once, and their place is free', async () => {
  const { spawn } = scripted(() => 'hang')
  const extractor = createExtractor(spawn, { ...usualExtractLimits, maxWaiting: 1 })
  const gone = new AbortController()
  const codeOf = ({ code }: { code: string }) => code
  const first = extractor.extract('a', hints, never).catch(codeOf)
  const second = extractor.extract('b', hints, gone.signal)
  gone.abort()
  await expect(second).rejects.toMatchObject({ code: 'aborted' })
  await expect(extractor.extract('c', hints, gone.signal)).rejects.toMatchObject({ code: 'aborted' })
  const third = extractor.extract('d', hints, never).catch(codeOf)
  await extractor.close()
  expect(await Promise.all([first, third])).toEqual(['unprocessable', 'unavailable'])
})

test('past the limit of the queue it is busy, and closing ends what waits', async () => {
  const { spawn } = scripted(() => 'hang')
  const extractor = createExtractor(spawn, { ...usualExtractLimits, maxWaiting: 1 })
  const outcomes = ['a', 'b', 'c'].map((path) =>
    extractor.extract(path, hints, never).catch(({ code }: { code: string }) => code),
  )
  expect(await outcomes[2]).toBe('busy')
  await extractor.close()
  expect(await Promise.all(outcomes)).toEqual(['unprocessable', 'unavailable', 'busy'])
})

test('the real process reads a PDF, and can read nothing outside of its folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-extract-'))
  const outside = await mkdtemp(join(tmpdir(), 'simpleia-outside-'))
  onTestFinished(() => Promise.all([folder, outside].map((path) => rm(path, { recursive: true }))).then(() => {}))
  const logged: string[] = []
  const extractor = createExtractor(() => spawnExtractor(folder, (text) => void logged.push(text)))
  await writeFile(join(folder, 'a'), makePdf([[{ text: 'The anchor weighs nine kilos.' }]]))
  await writeFile(join(outside, 'b'), 'secret')
  const read = await extractor.extract(join(folder, 'a'), { name: 'a.pdf' }, never)
  expect(read).toMatchObject({ text: 'The anchor weighs nine kilos.', pages: 1, mediaType: 'application/pdf' })
  await expect(extractor.extract(join(outside, 'b'), hints, never)).rejects.toMatchObject({ code: 'unprocessable' })
  await extractor.close()
  expect(logged.join('')).not.toContain('anchor')
})
