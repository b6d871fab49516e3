import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { expect, onTestFinished } from 'vitest'
import { runCli } from '../../src/cli/cli.ts'
import type { Result } from './cli-world.ts'

export type Asked = Readonly<{ method: string; path: string; query: URLSearchParams; body: unknown }>
/** What is answered by method and path: JSON, or a function that gives it or a whole response. */
type Script = Readonly<Record<string, object | ((asked: Asked) => object)>>
type Options = Readonly<{ isPerson?: boolean; variables?: Record<string, string> }>

export const spanish = { LANG: 'es_ES.UTF-8' }

/** Answers as a service may give them, for what a whole one does too seldom. */
export function refuse(status: number, error: Readonly<{ code: string; message: string }>, headers = {}): Response {
  return Response.json({ error }, { status, headers })
}

/** A stream; text is a message of its own, as the service sends pieces of answers. */
export function streamOf(...events: ReadonlyArray<string | Readonly<{ event: string; data: object }>>): Response {
  const pieces = events.map((one) =>
    typeof one === 'string' ? `data: ${one}\n\n` : `event: ${one.event}\ndata: ${JSON.stringify(one.data)}\n\n`,
  )
  return new Response(pieces.join(''), { headers: { 'content-type': 'text/event-stream' } })
}

function openScreen(isTTY: boolean) {
  const stream = Object.assign(new PassThrough(), { isTTY })
  let shown = ''
  stream.setEncoding('utf8').on('data', (text) => {
    shown += text
  })
  return { stream, shown: () => shown }
}

/** Command lines in this process before a service that answers by a script, typed by a person at a terminal or not. */
export async function createScriptedCli(script: Script, { isPerson = false, variables = {} }: Options = {}) {
  const home = await mkdtemp(join(tmpdir(), 'simpleia-scripted-'))
  onTestFinished(() => rm(home, { recursive: true }))
  const asked: Asked[] = []
  const fetch: typeof globalThis.fetch = async (url, { method = 'GET', body } = {}) => {
    const { pathname: path, searchParams: query } = new URL(String(url))
    const one = { method, path, query, body: typeof body === 'string' ? JSON.parse(body) : body }
    asked.push(one)
    const given = script[`${method} ${path}`] ?? refuse(404, { code: 'not_found', message: `Nothing is at ${path}.` })
    const answer = typeof given === 'function' ? given(one) : given
    return answer instanceof Response ? answer : Response.json(answer)
  }

  /** Begins a command; what it shows can be waited for, and what a person types goes to it. */
  function start(line: string | readonly string[]) {
    const input = Object.assign(new PassThrough(), { isTTY: isPerson, setRawMode: () => input })
    const [output, notes] = [openScreen(isPerson), openScreen(isPerson)]
    const running = runCli({
      args: typeof line === 'string' ? line.split(' ') : line,
      environment: { XDG_CONFIG_HOME: home, LANG: 'en_US.UTF-8', ...variables },
      readEnvFile: () => undefined,
      terminal: { input, output: output.stream, notes: notes.stream },
      fetch,
      version: '1.2.3',
    })
    // In turns: what was written last arrives in the next one.
    const done = running.then(async (code): Promise<Result> => {
      await new Promise(setImmediate)
      return { code, output: output.shown(), notes: notes.shown() }
    })
    return {
      input,
      done,
      type: (keys: string) => input.write(keys),
      seen: (text: string) => expect.poll(() => notes.shown() + output.shown(), { interval: 5, timeout: 5000 }).toContain(text),
    }
  }

  const run = (line: string | readonly string[], typed = '') => {
    const { input, done } = start(line)
    input.end(typed)
    return done
  }
  return { start, run, asked, home }
}
