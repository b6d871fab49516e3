import { PassThrough, Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { addressOf } from '../../src/cli/context.ts'
import { formatBytes, formatSeconds } from '../../src/cli/format.ts'
import { speak } from '../../src/cli/messages.ts'
import { createProgressLine } from '../../src/cli/progress-line.ts'
import { showSetup } from '../../src/cli/show-setup.ts'

/** What a command has of the world, and what it has written beside its answer. */
function openTerminal(isPerson: boolean) {
  const notes = Object.assign(new PassThrough(), { isTTY: isPerson })
  const terminal = { input: Object.assign(Readable.from([]), { isTTY: isPerson }), output: new PassThrough(), notes }
  return { terminal, say: speak('en'), written: () => String(notes.read() ?? '') }
}

const progress = (receivedBytes: number) =>
  ({ type: 'download-progress', receivedBytes, totalBytes: 2000, bytesPerSecond: 100, secondsLeft: 65 }) as const

describe('a download that a person watches', () => {
  test('stays on one line, and leaves it when all is there', () => {
    const { terminal, say, written } = openTerminal(true)
    const show = showSetup({ terminal, say })
    show({ type: 'download-start', file: 'a.gguf', totalBytes: 2000, from: 'hub' })
    expect(written()).toBe('Downloading the model a.gguf (2.0 KB).\n')
    for (const received of [0, 1000, 2000]) show(progress(received))
    const [, first, half, whole] = written().split('\r\u001b[K  ')
    expect([first?.slice(0, 20), half?.slice(0, 20), whole?.slice(0, 20)]).toEqual([
      '░'.repeat(20),
      '█'.repeat(10) + '░'.repeat(10),
      '█'.repeat(20),
    ])
    expect(half).toContain('50')
    expect([half?.endsWith('\n'), whole?.endsWith('\n')]).toEqual([false, true])
    for (const done of [1, 2]) show({ type: 'convert-progress', done, total: 2 })
    expect(written().replaceAll('\r\u001b[K', '')).toBe(
      `  ${'█'.repeat(10) + '░'.repeat(10)} Converting: tensor 1 of 2  ${'█'.repeat(20)} Converting: tensor 2 of 2\n`,
    )
  })

  test('tells in words what happens on its way', () => {
    const { terminal, say, written } = openTerminal(true)
    const show = showSetup({ terminal, say })
    show({ type: 'hub-unreachable', reason: 'No route.' })
    show({ type: 'download-retry', reason: 'ECONNRESET' })
    show({ type: 'download-wait' })
    show({ type: 'file-check', file: 'a.gguf' })
    show({ type: 'file-set-aside', file: 'b.gguf' })
    show({ type: 'model-ready', file: 'a.gguf', name: 'a' })
    show({ type: 'checkpoint-ready', folder: '/models/c', repository: 'o/c' })
    const lines = written().trimEnd().split('\n')
    expect(lines).toHaveLength(7)
    for (const [index, part] of ['No route', 'ECONNRESET', 'Waiting', 'a.gguf', 'b.gguf', 'a.gguf', '/models/c'].entries())
      expect(lines[index]).toContain(part)
    expect(lines[0]).not.toContain('No route..')
  })
})

test('a download that goes into a file is a line for each tenth, and no conversion is drawn there', () => {
  const { terminal, say, written } = openTerminal(false)
  const show = showSetup({ terminal, say })
  for (let received = 0; received <= 2000; received += 50) show(progress(received))
  show({ type: 'convert-progress', done: 1, total: 2 })
  const lines = written().trimEnd().split('\n')
  expect(lines).toHaveLength(10)
  expect(lines.join('')).not.toContain('\r')
})

test('work that tells its stages is one line that changes for a person, and a line for each stage in a file', () => {
  const shown = (isPerson: boolean) => {
    const { terminal, written } = openTerminal(isPerson)
    const line = createProgressLine(terminal)
    line.end()
    for (const [stage, text] of [
      ['read', 'Reading 1'],
      ['read', 'Reading 2'],
      ['write', 'Writing 1'],
    ] as const)
      line.show(stage, text)
    line.end()
    line.end()
    return written()
  }
  expect(shown(true)).toBe('\r\u001b[K  Reading 1\r\u001b[K  Reading 2\n\r\u001b[K  Writing 1\n')
  expect(shown(false)).toBe('  Reading 1\n  Writing 1\n')
})

test('sizes and times are said in few digits', () => {
  expect([0, 1, 1023, 1024, 10_240, 2 ** 20, 3.5 * 2 ** 30, 2 ** 60].map(formatBytes)).toEqual([
    ...['0 B', '1 B', '1023 B', '1.0 KB', '10 KB', '1.0 MB', '3.5 GB', '1048576 TB'],
  ])
  expect([0, 0.2, 59, 60, 190, 3600, 7500, Number.POSITIVE_INFINITY].map(formatSeconds)).toEqual([
    ...['0 s', '1 s', '59 s', '1 min 0 s', '3 min 10 s', '1 h 0 min', '2 h 5 min', '?'],
  ])
})

test('a service that listens everywhere is reached on this machine', () => {
  expect(['0.0.0.0', '::', '127.0.0.1', 'fd00::1', 'box'].map((host) => addressOf(host, 80))).toEqual([
    ...['http://127.0.0.1:80', 'http://[::1]:80', 'http://127.0.0.1:80', 'http://[fd00::1]:80', 'http://box:80'],
  ])
})
