import { EventEmitter } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Context } from '../../src/cli/context.ts'
import { listen } from '../../src/cli/listen.ts'
import { speak } from '../../src/cli/messages.ts'
import { runClient } from '../../src/cli/serve.ts'
import { waitForStop } from '../../src/cli/stop-signals.ts'
import { startServer } from '../server.ts'
import { createCli, scriptedHost } from './cli-world.ts'

const say = speak('en')

/** A terminal that a person sits at. */
function openTerminal() {
  const notes = Object.assign(new PassThrough(), { isTTY: true })
  const input = Object.assign(Readable.from([]), { isTTY: true })
  return { terminal: { input, output: new PassThrough(), notes }, written: () => String(notes.read() ?? '') }
}

test.each([
  ['EADDRINUSE', 80, 'conflict', /Port 80 .* --client-port 8080/],
  ['EADDRINUSE', 9000, 'conflict', /--client-port 9010/],
  ['EACCES', 80, 'forbidden', /80.* 8080/],
  ['EADDRNOTAVAIL', 9000, 'invalid', /far\.away/],
  ['ENOTFOUND', 9000, 'invalid', /far\.away/],
])('a part that cannot listen (%s at port %i) is closed, and it is said what to do', async (systemCode, port, code, message) => {
  const close = vi.fn(async () => {})
  const part = { close, http: { listen: () => Promise.reject(Object.assign(new Error('listen'), { code: systemCode })) } }
  const place = { host: 'far.away', port, env: 'CLIENT_PORT', say } as const
  await expect(listen(part, place)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  expect(close).toHaveBeenCalledOnce()
})

test('what nobody has foreseen is thrown as it is, after the part was closed; the port of an address is its own, 80 too', async () => {
  const failure = new Error('Who knows why.')
  const close = vi.fn(async () => {})
  const place = { host: '::1', port: 0, env: 'PORT', say } as const
  await expect(listen({ close, http: { listen: () => Promise.reject(failure) } }, place)).rejects.toBe(failure)
  expect(close).toHaveBeenCalledOnce()
  for (const [address, port] of [
    ['http://127.0.0.1:80', 80],
    ['http://[::1]:8000', 8000],
  ] as const)
    expect(await listen({ close, http: { listen: async () => address } }, place)).toBe(port)
})

test('the web client alone passes on to the API of the same settings, says where it is and how to stop it, and stops', async () => {
  const server = await startServer({ host: scriptedHost(['Hello']).host })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const { terminal, written } = openTerminal()
  const environment = { PORT: String(server.port), CLIENT_PORT: '0' }
  const context: Context = {
    ...{ words: [], flags: new Set<string>(), values: new Map<string, string>(), settings: {}, environment, envFile: undefined },
    ...{ language: 'en', say, terminal, fetch: globalThis.fetch, version: '1.2.3' },
  }
  const { promise: requested, resolve: stop } = Promise.withResolvers<void>()
  const leave = vi.fn()
  const running = runClient(context, { requested, leave })
  let said = ''
  await expect.poll(() => (said += written())).toContain('Ctrl-C')
  const url = /http:\S+:\d+/.exec(said)?.[0] ?? ''
  expect(url).not.toContain(`:${server.port}`)
  expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ status: 'ok' })
  stop()
  expect(await running).toBe(0)
  expect(leave).toHaveBeenCalledOnce()
  await expect(fetch(`${url}/health`)).rejects.toThrow()
})

describe('a signal', () => {
  /** The part of a process that signals come through. */
  function createProgram() {
    const exits: (number | undefined)[] = []
    const signals = new EventEmitter()
    return { exits, signals, program: { on: signals.on.bind(signals), exit: (code?: number) => void exits.push(code) } }
  }

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('%s asks for an orderly stop and is told; a second one ends the program with %i', async (name, code) => {
    const { exits, signals, program } = createProgram()
    const { terminal, written } = openTerminal()
    const stop = waitForStop({ say, terminal }, program)
    expect(stop.signal.aborted).toBe(false)
    signals.emit(name)
    await stop.requested
    expect([stop.signal.aborted, exits, written()]).toEqual([true, [], `\n${say('stopping')}\n`])
    signals.emit(name)
    expect(exits).toEqual([code])
  })

  test('what hangs when all is done keeps the program for a moment alone', async () => {
    const { exits, program } = createProgram()
    waitForStop({ say, terminal: openTerminal().terminal }, program).leave(0)
    await expect.poll(() => exits).toEqual([undefined])
  })
})

test('folders that cannot be folders are told at once, before anything is made', async () => {
  const { run, home } = await createCli()
  const file = join(home, 'file')
  await writeFile(file, '')
  for (const [line, words] of [
    [`api --data-dir ${file}`, `The folder ${file} cannot be written`],
    ['api --data-dir /sys/data', 'The folder /sys/data cannot be written'],
    [`api --data-dir ${file}/data`, `The folder ${file}/data cannot be written`],
    [`all --data-dir /proc/data`, 'The folder /proc/data cannot be written'],
    [`api --models-dir ${file}`, `The folder ${file} cannot be read`],
    [`models convert test/fixtures/convert/llama3 --models-dir ${file}`, `The folder ${file} cannot be written`],
  ] as const)
    expect([line, await run(line)]).toEqual([line, expect.objectContaining({ code: 1, notes: expect.stringContaining(words) })])
})
